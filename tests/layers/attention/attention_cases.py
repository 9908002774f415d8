"""The attention layers that the tests of this folder go through."""

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn import layers
from keras_stn.hyperparameters import Sample
from keras_stn.layers.hyper_layer import find_layers
from tests.layers.samples import fill

BATCH, TARGET, SOURCE, SIZE = 6, 4, 5, 8
N = 3

# A new layer is covered by its line here: it, what it replaces in Keras, its
# arguments, and those for one head of a given size.
CASES = {
    "multi_head": (
        layers.HyperMultiHeadAttention,
        keras.layers.MultiHeadAttention,
        {"num_heads": 2, "key_dim": 3},
        lambda size: {"num_heads": 1, "key_dim": size},
    ),
    "group_query": (
        layers.HyperGroupQueryAttention,
        keras.layers.GroupQueryAttention,
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        lambda size: {
            "head_dim": size,
            "num_query_heads": 1,
            "num_key_value_heads": 1,
        },
    ),
}

# Further arguments with which they are compared with Keras's.
ARGUMENTS = {
    "multi_head": {
        "plain": {},
        "value_dim": {"value_dim": 5},
        "no_bias": {"use_bias": False},
        "gate": {"use_gate": True, "value_dim": 5},
        "output_shape": {"output_shape": (3, 2)},
        "sliding_window": {"sliding_window": 2},
        "dropout": {"dropout": 0.5, "seed": 3},
    },
    "group_query": {
        "plain": {},
        "gate": {"use_gate": True},
        "multi_query": {"num_key_value_heads": 1, "use_bias": False},
        "sliding_window": {"sliding_window": 2},
        "dropout": {"dropout": 0.5, "seed": 3},
    },
}

SHAPES = [(None, TARGET, SIZE), (None, SOURCE, SIZE)]


class Case:
    """Makes layers of one line of `CASES`."""

    def __init__(self, name):
        self.name = name
        self.hyper_class, self.keras_class, self.arguments, self.one_head = (
            CASES[name]
        )

    def make(self, **arguments):
        """An unbuilt layer."""
        return self.hyper_class(**{**self.arguments, **arguments})

    def build(self, shapes=None, **arguments):
        """A layer with gates, all of whose weights show in its output."""
        layer = self.make(**arguments)
        layer.build(*(shapes or SHAPES))
        build_gates(layer)
        fill(layer)
        return layer

    def make_keras(self, **arguments):
        """The unbuilt layer of Keras."""
        return self.keras_class(**{**self.arguments, **arguments})

    def pair(self, arguments, keras_arguments=None, shapes=None):
        """A hyper layer, and one of Keras's with the same weights."""
        layer = self.build(shapes, **arguments)
        keras_layer = self.make_keras(**(keras_arguments or arguments))
        keras_layer.build(*(shapes or SHAPES))
        for ours in projections(layer):
            (theirs,) = (
                each
                for each in find_layers(keras_layer)
                if each.name == ours.name and each.weights
            )
            theirs.set_weights(ours.get_weights()[: len(theirs.weights)])
        return layer, keras_layer


every_variant = pytest.mark.parametrize(
    "case, arguments",
    [
        pytest.param(Case(name), arguments, id=f"{name}-{variant}")
        for name, variants in ARGUMENTS.items()
        for variant, arguments in variants.items()
    ],
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def inputs(batch_size=BATCH):
    return (
        draw(batch_size, TARGET, SIZE),
        draw(batch_size, SOURCE, SIZE, seed=1),
    )


def projections(layer):
    return [
        each
        for each in find_layers(layer)
        if isinstance(each, layers.HyperEinsumDense)
    ]


def build_gates(layer, count=N):
    for projection in projections(layer):
        projection.build_gates(count)


def make_rows(groups):
    return np.random.default_rng(2).normal(size=(groups, N)).astype("float32")


def rate(default=0.3, **arguments):
    return stn.Float("rate", 0.0, 0.95, default=default, **arguments)


def sample_rows():
    """A sample of two rows for gates of `N` and for the rate."""
    rows = keras.ops.convert_to_tensor(make_rows(2))
    declarations = [rate(), stn.Float("a"), stn.Float("b")]
    return Sample(rows, keras.ops.sigmoid(rows), declarations)
