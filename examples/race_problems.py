"""What `compare_tuners.py` races on: data, ranges, and one `build(hp)` each.

The networks are ordinary Keras layers with the numbers of `hp`, so that every
search and self-tuning get the same function.
"""

from typing import NamedTuple

import keras
import numpy as np

from keras_stn.datasets import cifar10
from keras_stn.datasets import fashion_mnist
from keras_stn.datasets import language

BATCH_SIZE = 100
EPOCHS = 100
PATIENCE = 15
MONITOR = "val_cross_entropy"
# Training, validation and test images, or words.
SIZES = {
    "sample": (2000, 1000, 2000),
    "fashion_mnist": (2000, 2000, 10_000),
    "cifar10": (2000, 1000, 10_000),
    "brown": (60_000, 20_000, 20_000),
}
# The words of the vocabulary, and of a segment of text.
VOCABULARY_SIZE = 2000
SEGMENT = 20


class Range(NamedTuple):
    """A hyperparameter of a problem.

    Attributes:
        low: Float, the lower end.
        high: Float, the upper end.
        default: Float, the value to start from.
        sampling: `"linear"` or `"log"`.
    """

    low: float
    high: float
    default: float
    sampling: str = "linear"

    def declare(self, hp, name):
        """The value that `hp` has for it, declared like the others."""
        return hp.Float(
            name,
            self.low,
            self.high,
            default=self.default,
            sampling=self.sampling,
        )

    def to_unit(self, value):
        """Where a value lies in the range, from 0 to 1."""
        if self.sampling == "log":
            return np.log(value / self.low) / np.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, unit):
        """The value at a place between 0 and 1."""
        if self.sampling == "log":
            return float(self.low * (self.high / self.low) ** unit)
        return float(self.low + unit * (self.high - self.low))


def rate(high=0.9):
    return strength(high)


def strength(high):
    return Range(0.0, high, 0.25 * high)


def penalty():
    return Range(1e-7, 1e-2, 1e-6, "log")


AUGMENTATION = {
    "brightness": strength(0.5),
    "contrast": strength(0.5),
    "rotation": strength(0.25),
    "translation": strength(0.3),
    "zoom": strength(0.5),
}
NOISE = {"noise": strength(0.5), "dropout_input": rate(0.3)}
PENALTIES = {"l2_convolutions": penalty(), "l2_dense": penalty()}
GREY_3 = {"dropout_1": rate(), "dropout_2": rate(), "dropout_dense": rate()}
# Networks do not train at all with much of everything: where there are many,
# the convolutions' rates end at a half.
GREY_11 = {
    "dropout_1": rate(0.5),
    "dropout_2": rate(0.5),
    "dropout_maps": rate(0.5),
    "dropout_dense": rate(),
    **AUGMENTATION,
    **NOISE,
}
GREY_15 = {
    **GREY_11,
    "shear": strength(0.5),
    "blur": strength(1.0),
    **PENALTIES,
}
COLOR_3 = {"dropout_2": rate(), "dropout_3": rate(), "dropout_dense": rate()}
COLOR_11 = {
    "dropout_1": rate(0.5),
    "dropout_2": rate(0.5),
    "dropout_3": rate(0.5),
    "dropout_dense": rate(),
    **AUGMENTATION,
    "saturation": strength(0.5),
    "hue": strength(0.5),
}
COLOR_15 = {**COLOR_11, **NOISE, **PENALTIES}
TEXT_3 = {
    "dropout_input": rate(),
    "dropout_lstm": rate(),
    "dropout_output": rate(),
}
# For each data set and number of hyperparameters, their ranges.
RANGES = {
    "sample": {3: GREY_3, 11: GREY_11, 15: GREY_15},
    "fashion_mnist": {3: GREY_3, 11: GREY_11, 15: GREY_15},
    "cifar10": {3: COLOR_3, 11: COLOR_11, 15: COLOR_15},
    "brown": {3: TEXT_3},
}
# The filters of each convolution, by the number of the images' channels.
FILTERS = {1: (16, 32), 3: (8, 16, 32)}


class Values:
    """Gives `build(hp)` values that are known, or their defaults.

    Args:
        values: Dictionary from names to numbers, or `None`.
    """

    def __init__(self, values=None):
        self.values = values or {}

    def Float(self, name, *_, default, **__):  # noqa: N802
        return self.values.get(name, default)


class Problem:
    """A network to train, and the ranges of what regularizes it.

    Args:
        dataset: String, a key of `RANGES`.
        count: Integer, the number of hyperparameters.
        epochs: Integer, the most that a network is trained.
        sizes: Triple of integers, how many images or words are used for
            training, validation and test; `None`, or one of them `None`, for
            what is usual.

    Raises:
        ValueError: If the data set has no such number of hyperparameters.
    """

    def __init__(self, dataset, count, epochs=EPOCHS, sizes=None):
        if count not in RANGES[dataset]:
            counts = " or ".join(map(str, RANGES[dataset]))
            raise ValueError(
                f"The network for {dataset} has {counts} hyperparameters to "
                f"search. Received: {count}"
            )
        self.dataset = dataset
        self.ranges = RANGES[dataset][count]
        self.epochs = epochs
        self.sizes = [
            own or usual
            for own, usual in zip(sizes or SIZES[dataset], SIZES[dataset])
        ]

    def build(self, hp):
        """The compiled network, for values that `hp` chooses.

        Args:
            hp: `keras_tuner.HyperParameters`, or what has its `Float`.

        Returns:
            A `keras.Sequential`.
        """
        values = {
            name: one.declare(hp, name) for name, one in self.ranges.items()
        }
        is_text = self.dataset == "brown"
        make = language_layers if is_text else image_layers
        model = keras.Sequential([*make(values)])
        model.compile(**self.compile_arguments())
        return model

    def compile_arguments(self):
        """What networks and self-tuning models are compiled with."""
        is_text = self.dataset == "brown"
        return {
            "optimizer": keras.optimizers.Adam(3e-3 if is_text else 2e-3),
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            # The loss without the penalties, which differ from one set of
            # hyperparameters to another.
            "metrics": [
                keras.metrics.SparseCategoricalCrossentropy(
                    name="cross_entropy", from_logits=True
                ),
                "accuracy",
            ],
        }

    def load(self, data_dir=None):
        """Loads the data.

        Args:
            data_dir: Folder of TensorFlow Datasets, or of `train.txt`,
                `valid.txt` and `test.txt`.

        Returns:
            Three pairs of arrays for training, validation and test.
        """
        if self.dataset == "brown":
            return load_text(data_dir, self.sizes)
        if self.dataset == "sample":
            parts = fashion_mnist.load_sample()
        elif self.dataset == "fashion_mnist":
            parts = fashion_mnist.load(data_dir)
        else:
            parts = cifar10.load(data_dir)
        return tuple(
            (to_bytes(x[:size]), y[:size])
            for (x, y), size in zip(parts, self.sizes)
        )


def image_layers(values):
    """The layers of a small convolutional network.

    A layer whose value is not among the hyperparameters is left out.
    """
    is_color = "dropout_3" in values
    channels = 3 if is_color else 1
    yield keras.Input((32, 32, 3) if is_color else (28, 28, 1))
    yield keras.layers.Rescaling(1 / 255)
    yield from augmentation_layers(values)
    if "noise" in values:
        yield keras.layers.GaussianNoise(values["noise"], name="gaussian_noise")
    yield from dropout(values, "dropout_input")
    for number, filters in enumerate(FILTERS[channels], start=1):
        yield keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_regularizer=l2(values, "l2_convolutions"),
            name=f"conv_{number}",
        )
        yield keras.layers.MaxPooling2D()
        yield from dropout(values, f"dropout_{number}")
    yield from dropout(values, "dropout_maps", keras.layers.SpatialDropout2D)
    yield keras.layers.Flatten()
    yield keras.layers.Dense(
        64,
        activation="relu",
        kernel_regularizer=l2(values, "l2_dense"),
        name="dense",
    )
    yield from dropout(values, "dropout_dense")
    yield keras.layers.Dense(
        10, kernel_regularizer=l2(values, "l2_dense"), name="logits"
    )


def augmentation_layers(values):
    """Random changes of images between 0 and 1."""
    if "brightness" not in values:
        return
    white = {"value_range": (0, 1)}
    layers = keras.layers
    yield layers.RandomRotation(values["rotation"], name="random_rotation")
    translation = values["translation"]
    yield layers.RandomTranslation(
        translation, translation, name="random_translation"
    )
    yield layers.RandomZoom(values["zoom"], name="random_zoom")
    if "shear" in values:
        yield layers.RandomShear(
            values["shear"], values["shear"], name="random_shear"
        )
    yield layers.RandomBrightness(
        values["brightness"], name="random_brightness", **white
    )
    yield layers.RandomContrast(
        values["contrast"], name="random_contrast", **white
    )
    if "hue" in values:
        # One number would be the upper end of a range that begins with grey.
        around = 0.5 - values["saturation"] / 2, 0.5 + values["saturation"] / 2
        yield layers.RandomSaturation(around, name="random_saturation", **white)
        yield layers.RandomHue(values["hue"], name="random_hue", **white)
    if "blur" in values:
        yield layers.RandomGaussianBlur(
            sigma=values["blur"], name="random_gaussian_blur", **white
        )


def language_layers(values):
    """The layers of a small LSTM language model over words."""
    yield keras.Input((SEGMENT,), dtype="int32")
    yield keras.layers.Embedding(VOCABULARY_SIZE, 64, name="embedding")
    yield from dropout(values, "dropout_input", keras.layers.SpatialDropout1D)
    yield keras.layers.LSTM(
        64,
        return_sequences=True,
        dropout=values["dropout_lstm"],
        name="lstm",
    )
    yield from dropout(values, "dropout_output")
    yield keras.layers.Dense(VOCABULARY_SIZE, name="logits")


def dropout(values, name, kind=keras.layers.Dropout):
    """The dropout of this name, if there is one."""
    if name in values:
        yield kind(values[name], name=name)


def l2(values, name):
    return keras.regularizers.L2(values[name]) if name in values else None


def to_bytes(images):
    """Images as bytes, of which the networks make numbers from 0 to 1."""
    if images.dtype == np.uint8:
        return images
    return np.round(images * 255).astype("uint8")


def load_text(data_dir, sizes):
    """Segments of the beginning of each text, and what follows each word."""
    corpus = language.load(data_dir or ".", VOCABULARY_SIZE)
    texts = corpus.train, corpus.validation, corpus.test
    return tuple(to_segments(ids[:n]) for ids, n in zip(texts, sizes))


def to_segments(ids):
    count = (len(ids) - 1) // SEGMENT
    shape = count, SEGMENT
    words = ids[: count * SEGMENT].reshape(shape)
    return words, ids[1 : count * SEGMENT + 1].reshape(shape)
