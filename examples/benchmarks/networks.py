"""The networks that the benchmarks time, of Keras's layers or hyper layers."""

import argparse
import time
from typing import NamedTuple

import keras
import numpy as np

import keras_stn as stn

WORDS = 2000


class Kit(NamedTuple):
    """The layers to build a network of.

    Attributes:
        conv: Class of 2D convolutions.
        dense: Class of dense layers.
        embedding: Class of embeddings.
        lstm: Class of LSTM layers.
        attention: Class of attention layers.
        dropout: Callable that makes the dropout layer of a number.
    """

    conv: type
    dense: type
    embedding: type
    lstm: type
    attention: type
    dropout: object


PLAIN = Kit(
    keras.layers.Conv2D,
    keras.layers.Dense,
    keras.layers.Embedding,
    keras.layers.LSTM,
    keras.layers.MultiHeadAttention,
    lambda i: keras.layers.Dropout(0.1),
)
TUNED = Kit(
    stn.layers.HyperConv2D,
    stn.layers.HyperDense,
    stn.layers.HyperEmbedding,
    stn.layers.HyperLSTM,
    stn.layers.HyperMultiHeadAttention,
    lambda i: stn.layers.Dropout(
        stn.Float(f"dropout_{i}", 0.0, 0.9, default=0.1)
    ),
)


def small_cnn(kit):
    """The quickstart's network."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            kit.conv(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            kit.dropout(0),
            kit.conv(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            kit.dropout(1),
            keras.layers.Flatten(),
            kit.dense(128, activation="relu"),
            kit.dropout(2),
            kit.dense(10),
        ]
    )


def alexnet(kit):
    """Five convolutions and three dense layers on 32 x 32 images."""
    layers = [keras.Input((32, 32, 3))]
    for i, (filters, size, pool) in enumerate(
        [(64, 5, 2), (192, 5, 2), (384, 3, 1), (256, 3, 1), (256, 3, 2)]
    ):
        layers.append(
            kit.conv(filters, size, padding="same", activation="relu")
        )
        if pool == 2:
            layers.append(keras.layers.MaxPooling2D())
        layers.append(kit.dropout(i))
    layers.append(keras.layers.Flatten())
    for i in (5, 6):
        layers += [kit.dropout(i), kit.dense(1024, activation="relu")]
    return keras.Sequential([*layers, kit.dense(10)])


def vgg16(kit):
    """Thirteen convolutions and three dense layers on 32 x 32 images."""
    layers, number = [keras.Input((32, 32, 3))], 0
    for block in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        for filters in block:
            layers += [
                kit.conv(filters, 3, padding="same", activation="relu"),
                kit.dropout(number),
            ]
            number += 1
        layers.append(keras.layers.MaxPooling2D())
    layers.append(keras.layers.Flatten())
    for _ in range(2):
        layers += [kit.dense(512, activation="relu"), kit.dropout(number)]
        number += 1
    return keras.Sequential([*layers, kit.dense(10)])


def mlp(kit):
    """Three dense layers, whose kernels are used once an example."""
    return keras.Sequential(
        [
            keras.Input((784,)),
            kit.dense(512, activation="relu"),
            kit.dropout(0),
            kit.dense(512, activation="relu"),
            kit.dropout(1),
            kit.dense(10),
        ]
    )


def lstm(kit):
    """A language model of one LSTM layer, on segments of 35 words."""
    return keras.Sequential(
        [
            keras.Input((35,), dtype="int32"),
            kit.embedding(WORDS, 200),
            kit.dropout(0),
            kit.lstm(200, return_sequences=True),
            kit.dropout(1),
            keras.layers.Dense(WORDS),
        ]
    )


def transformer(kit):
    """A causal language model of two blocks, on segments of 64 words."""
    inputs = keras.Input((64,), dtype="int32")
    x = kit.dropout(0)(kit.embedding(WORDS, 128)(inputs))
    for i in (1, 3):
        y = keras.layers.LayerNormalization()(x)
        y = kit.attention(4, 32)(y, y, use_causal_mask=True)
        x = keras.layers.Add()([x, kit.dropout(i)(y)])
        y = keras.layers.LayerNormalization()(x)
        y = kit.dense(128)(kit.dense(512, activation="gelu")(y))
        x = keras.layers.Add()([x, kit.dropout(i + 1)(y)])
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(inputs, keras.layers.Dense(WORDS)(x))


# The networks, and the shapes of their inputs; words are in segments.
NETWORKS = {
    "small_cnn": (small_cnn, (28, 28, 1)),
    "alexnet": (alexnet, (32, 32, 3)),
    "vgg16": (vgg16, (32, 32, 3)),
    "mlp": (mlp, (784,)),
    "lstm": (lstm, (35,)),
    "transformer": (transformer, (64,)),
}
TEXT = ("lstm", "transformer")


def build(name, groups, jit_compile=False, preset="auto"):
    """A compiled network.

    Args:
        name: String, one of `NETWORKS`.
        groups: As in `SelfTuningModel`; or `"plain"` for a network of Keras's
            layers, or `"to_keras"` for one that a tuned model was made into.
        jit_compile: Boolean.
        preset: As in `SelfTuningModel`.

    Returns:
        A `keras.Model`.
    """
    keras.utils.set_random_seed(0)
    make, _ = NETWORKS[name]
    if groups == "plain":
        model = make(PLAIN)
    elif groups == "to_keras":
        model = stn.SelfTuningModel(make(TUNED), preset=preset).to_keras()
    else:
        model = stn.SelfTuningModel(make(TUNED), groups=groups, preset=preset)
    return compiled(model, jit_compile)


def compiled(model, jit_compile):
    """The model, compiled as all that are timed."""
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def make_arrays(name, size):
    """Random inputs and labels for a network."""
    _, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    if name in TEXT:
        words = rng.integers(0, WORDS, (size, shape[0] + 1)).astype("int32")
        return words[:, :-1], words[:, 1:]
    y = rng.integers(0, 10, size).astype("int32")
    return rng.random((size, *shape), "float32"), y


def make_batch(name, size):
    """The same as tensors."""
    return tuple(map(keras.ops.convert_to_tensor, make_arrays(name, size)))


class EpochTimer(keras.callbacks.Callback):
    """Keeps the seconds of the last epoch, without what `fit` does about it.

    TensorFlow may take seconds to let go of an iterator.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


def make_parser(description, networks, groups):
    """A parser of the options that benchmarks of several networks share."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=NETWORKS,
        default=networks,
        help="alexnet and vgg16 take seconds a step on a CPU",
    )
    parser.add_argument("--groups", nargs="+", type=int, default=groups)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--preset", default="auto", choices=["auto", "paper"])
    parser.add_argument(
        "--jit-compile", action="store_true", help="XLA instead of the graph"
    )
    return parser
