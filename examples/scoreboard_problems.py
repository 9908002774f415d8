"""What `scoreboard.py` trains: ordinary Keras models on small real tasks.

Every problem is what a person may have before self-tuning: data in three
parts, and a compiled Keras model with regularization in it. Nothing about it
was chosen with self-tuning in mind.
"""

import functools
import pathlib
from typing import NamedTuple

import keras
import numpy as np

from keras_stn.datasets import cifar10
from keras_stn.datasets import fashion_mnist
from keras_stn.datasets import language

RATE = (0.0, 0.9)
STRENGTH = (0.0, 0.4)
NOISE = (0.0, 1.0)
PENALTY = (1e-7, 1e-1)

# What a person may start from, for each kind of value. `None` regularizes
# nothing, `random` draws once for each seed.
STARTS = {
    "low": {RATE: 0.02, STRENGTH: 0.01, NOISE: 0.02, PENALTY: 1e-6},
    "sensible": {RATE: 0.25, STRENGTH: 0.1, NOISE: 0.1, PENALTY: 1e-4},
    "high": {RATE: 0.7, STRENGTH: 0.35, NOISE: 0.8, PENALTY: 1e-2},
    "none": {RATE: 0.0, STRENGTH: 0.0, NOISE: 0.0, PENALTY: 0.0},
    "random": None,
}


def draw(kind, generator):
    """Draws a value of a kind, for the random start and for random search."""
    low, high = kind
    share = generator.uniform()
    if kind == PENALTY:
        return float(low * (high / low) ** share)
    return float(low + share * (high - low))


def starting_values(problem, start, seed):
    """The values of a problem's hyperparameters at a start.

    Args:
        problem: A `Problem`.
        start: String, one of `STARTS`.
        seed: Integer, what the random start draws by.

    Returns:
        Dictionary from names to numbers.
    """
    kinds = problem.hyperparameters
    if start == "random":
        generator = np.random.default_rng([seed, 17])
        return {name: draw(kind, generator) for name, kind in kinds.items()}
    return {name: STARTS[start][kind] for name, kind in kinds.items()}


class Problem(NamedTuple):
    """A data set and a network for it.

    Attributes:
        kind: String, what it is an example of.
        hyperparameters: Dictionary from the names that `from_keras` gives
            them to their kinds, pairs of the ends of their ranges.
        load: Function from a seed and the data folder to three pairs
            `(x, y)`, for training, validation and test.
        build: Function from a dictionary of values to a compiled model.
        loss: The loss to report on test data.
        batch_size: Integer.
        epochs: Integer, at most.
        patience: Integer, epochs without a lower validation loss.
    """

    kind: str
    hyperparameters: dict
    load: object
    build: object
    loss: object
    batch_size: int
    epochs: int
    patience: int


def l2(strength):
    return keras.regularizers.L2(strength)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(layers, loss, optimizer=None):
    model = keras.Sequential(layers)
    model.compile(
        optimizer or keras.optimizers.Adam(1e-3), loss, jit_compile=False
    )
    return model


# Images.


def build_convolutions(values, shape=(28, 28, 1), augmentation=()):
    layers = keras.layers
    return compiled(
        [
            keras.Input(shape),
            *augmentation,
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(values["dropout_1"], name="dropout_1"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(values["dropout_2"], name="dropout_2"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(values["dropout_3"], name="dropout_3"),
            layers.Dense(10),
        ],
        cross_entropy(),
    )


def build_augmented(values):
    layers = keras.layers
    return build_convolutions(
        values,
        (32, 32, 3),
        [
            layers.RandomTranslation(
                *[values["translation_height"]] * 2, name="translation"
            ),
            layers.GaussianNoise(values["noise"], name="noise"),
        ],
    )


def build_image_mlp(values, units=128):
    layers = keras.layers
    return compiled(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dropout(values["dropout_1"], name="dropout_1"),
            layers.Dense(units, activation="relu"),
            layers.Dropout(values["dropout_2"], name="dropout_2"),
            layers.Dense(units, activation="relu"),
            layers.Dropout(values["dropout_3"], name="dropout_3"),
            layers.Dense(10),
        ],
        cross_entropy(),
    )


def subsets(data, sizes, seed):
    """The first examples of each part, the training ones drawn by a seed."""
    generator = np.random.default_rng(seed)
    (x, y), *others = data
    indices = generator.permutation(len(x))[: sizes[0]]
    parts = [(x[indices], y[indices])]
    for (x, y), size in zip(others, sizes[1:]):
        parts.append((x[:size], y[:size]))
    if x.dtype == np.uint8:
        parts = [((x / 255).astype("float32"), y) for x, y in parts]
    return parts


def load_sample(seed, data_dir):
    return subsets(fashion_mnist.load_sample(), (1000, 500, 2000), seed)


def load_fashion(seed, data_dir):
    return subsets(fashion_mnist.load(data_dir), (6000, 2000, 5000), seed)


def load_cifar(seed, data_dir):
    return subsets(cifar10.load(data_dir), (1000, 500, 2000), seed)


def load_wrong_labels(seed, data_dir):
    """Three labels in ten are replaced, in training and validation alike."""
    parts = load_sample(seed, data_dir)
    generator = np.random.default_rng([seed, 3])
    for i, (x, y) in enumerate(parts[:2]):
        is_wrong = generator.uniform(size=len(y)) < 0.3
        other = (y + generator.integers(1, 10, len(y))) % 10
        parts[i] = (x, np.where(is_wrong, other, y))
    return parts


# Tables.


def build_classifier(num_classes, num_features, units):
    def build(values):
        layers = keras.layers
        return compiled(
            [
                keras.Input((num_features,)),
                layers.Dense(
                    units,
                    activation="relu",
                    kernel_regularizer=l2(values["hidden_1_kernel_l2"]),
                    name="hidden_1",
                ),
                layers.Dropout(values["dropout"], name="dropout"),
                layers.Dense(
                    units,
                    activation="relu",
                    kernel_regularizer=l2(values["hidden_2_kernel_l2"]),
                    name="hidden_2",
                ),
                layers.Dense(num_classes),
            ],
            cross_entropy(),
        )

    return build


def build_regressor(num_features):
    def build(values):
        layers = keras.layers
        return compiled(
            [
                keras.Input((num_features,)),
                layers.GaussianNoise(values["noise"], name="noise"),
                layers.Dense(
                    64,
                    activation="relu",
                    kernel_regularizer=l2(values["hidden_1_kernel_l2"]),
                    name="hidden_1",
                ),
                layers.Dropout(values["dropout"], name="dropout"),
                layers.Dense(32, activation="relu", name="hidden_2"),
                layers.Dense(1),
            ],
            "mse",
            keras.optimizers.Adam(3e-3),
        )

    return build


def split_table(x, y, sizes, seed, is_regression=False, scale=None):
    """Shuffles a table, cuts it in three and standardizes it."""
    indices = np.random.default_rng(seed).permutation(len(x))
    x, y = x[indices].astype("float32"), y[indices]
    first = x[: sizes[0]]
    x = (x - first.mean(0)) / (scale or first.std(0))
    if is_regression:
        first = y[: sizes[0]]
        y = ((y - first.mean()) / first.std()).astype("float32")[:, None]
    ends = np.cumsum(sizes)
    return [
        (x[start:end], y[start:end])
        for start, end in zip((0, *ends[:-1]), ends)
    ]


def load_digits(seed, data_dir):
    import sklearn.datasets

    x, y = sklearn.datasets.load_digits(return_X_y=True)
    return split_table(x, y, (400, 300, 1097), seed, scale=6.0)


def load_cancer(seed, data_dir):
    import sklearn.datasets

    x, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
    return split_table(x, y, (150, 150, 269), seed)


def load_diabetes(seed, data_dir):
    import sklearn.datasets

    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    return split_table(x, y, (180, 120, 142), seed, is_regression=True)


def load_friedman(seed, data_dir):
    import sklearn.datasets

    x, y = sklearn.datasets.make_friedman1(
        2500, n_features=20, noise=1.0, random_state=seed
    )
    return split_table(x, y, (300, 200, 2000), seed, is_regression=True)


# Text and sequences.

# Which of these stood in the gap of a sentence.
PREPOSITIONS = ("of", "in", "to", "for", "with", "on", "at", "by", "from")
WINDOW = 6


def load_gaps(seed, data_dir):
    """Sentences with a gap: the words around it, and which word it was."""
    vocabulary, *texts = language.load(
        pathlib.Path(data_dir, "brown"), max_size=2000
    )
    words = vocabulary.encode(PREPOSITIONS)
    around = np.delete(np.arange(-WINDOW, WINDOW + 1), WINDOW)
    parts = []
    for text, size in zip(texts, (2000, 1000, 3000)):
        inside = text[WINDOW:-WINDOW]
        places = WINDOW + np.flatnonzero(np.isin(inside, words))
        places = np.random.default_rng(seed).permutation(places)[:size]
        labels = np.searchsorted(np.sort(words), text[places])
        parts.append((text[places[:, None] + around], labels))
    return parts


def load_series(seed, data_dir):
    """A chaotic series, that of Mackey and Glass, seen through noise."""
    generator = np.random.default_rng(seed)
    delay, series = 17, list(generator.uniform(0.5, 1.3, 18))
    for _ in range(20_000):
        past = series[-1 - delay]
        series.append(0.9 * series[-1] + 0.2 * past / (1 + past**10))
    series = np.array(series[500::3], "float32")
    series = (series - series.mean()) / series.std()
    series = series + generator.normal(0, 0.5, len(series)).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(series, 17)[..., None]
    parts, start = [], 0
    for size in (300, 300, 2000):
        part = windows[start : start + size]
        parts.append((part[:, :-1], part[:, -1]))
        # No window reaches into two parts.
        start += size + 17
    return parts


def build_text(values):
    layers = keras.layers
    return compiled(
        [
            keras.Input((2 * WINDOW,), dtype="int32"),
            layers.Embedding(2000, 32),
            layers.SpatialDropout1D(values["dropout_1"], name="dropout_1"),
            layers.Conv1D(64, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(values["dropout_2"], name="dropout_2"),
            layers.Dense(len(PREPOSITIONS)),
        ],
        cross_entropy(),
    )


def build_forecast(values):
    layers = keras.layers
    return compiled(
        [
            keras.Input((16, 1)),
            layers.GRU(
                16,
                dropout=values["gru_dropout"],
                recurrent_dropout=values["gru_recurrent_dropout"],
                name="gru",
            ),
            layers.Dropout(values["dropout"], name="dropout"),
            layers.Dense(1),
        ],
        "mse",
        keras.optimizers.Adam(3e-3),
    )


def rates(*names):
    return dict.fromkeys(names, RATE)


THREE_RATES = rates("dropout_1", "dropout_2", "dropout_3")
CLASSIFIER = {
    "dropout": RATE,
    "hidden_1_kernel_l2": PENALTY,
    "hidden_2_kernel_l2": PENALTY,
}
REGRESSOR = {"noise": NOISE, "dropout": RATE, "hidden_1_kernel_l2": PENALTY}

PROBLEMS = {
    "fashion": Problem(
        "images, few",
        THREE_RATES,
        load_sample,
        build_convolutions,
        cross_entropy(),
        50,
        50,
        8,
    ),
    "cifar10": Problem(
        "images, augmented",
        {
            "translation_height": STRENGTH,
            "translation_width": STRENGTH,
            "noise": NOISE,
            **THREE_RATES,
        },
        load_cifar,
        build_augmented,
        cross_entropy(),
        50,
        50,
        8,
    ),
    "many_images": Problem(
        "images, many",
        THREE_RATES,
        load_fashion,
        build_image_mlp,
        cross_entropy(),
        100,
        40,
        6,
    ),
    "wrong_labels": Problem(
        "noisy labels",
        THREE_RATES,
        load_wrong_labels,
        build_image_mlp,
        cross_entropy(),
        50,
        60,
        10,
    ),
    "underfit": Problem(
        "underfit",
        THREE_RATES,
        load_fashion,
        functools.partial(build_image_mlp, units=12),
        cross_entropy(),
        100,
        30,
        6,
    ),
    "digits": Problem(
        "table, classes",
        CLASSIFIER,
        load_digits,
        build_classifier(10, 64, 64),
        cross_entropy(),
        20,
        100,
        15,
    ),
    "cancer": Problem(
        "table, classes",
        CLASSIFIER,
        load_cancer,
        build_classifier(2, 30, 32),
        cross_entropy(),
        15,
        100,
        15,
    ),
    "diabetes": Problem(
        "table, numbers",
        REGRESSOR,
        load_diabetes,
        build_regressor(10),
        "mse",
        15,
        100,
        15,
    ),
    "friedman": Problem(
        "table, numbers",
        REGRESSOR,
        load_friedman,
        build_regressor(20),
        "mse",
        20,
        100,
        15,
    ),
    "gaps": Problem(
        "text",
        rates("dropout_1", "dropout_2"),
        load_gaps,
        build_text,
        cross_entropy(),
        50,
        40,
        8,
    ),
    "series": Problem(
        "sequences",
        rates("gru_dropout", "gru_recurrent_dropout", "dropout"),
        load_series,
        build_forecast,
        "mse",
        30,
        100,
        15,
    ),
}
