"""Samples of hyperparameters for tests, and a model that hands them out."""

import keras
import numpy as np

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers.hyper_layer import provided


def make_sample(rows, dtype="float32"):
    """A `Sample` of as many hyperparameters as `rows` has columns."""
    rows = keras.ops.convert_to_tensor(rows, dtype)
    declarations = [stn.Float(f"h{i}") for i in range(rows.shape[1])]
    return Sample(rows, rows, declarations)


def sample_at(declaration, values, dtype="float32"):
    """A `Sample` of one hyperparameter with the given values, one a group."""
    values = keras.ops.convert_to_tensor(values, dtype)
    values = keras.ops.reshape(values, (-1, 1))
    return Sample(keras.ops.zeros_like(values), values, [declaration])


class Providing(keras.Model):
    """Calls a network under a `Sample`, as a self-tuning model does."""

    def __init__(self, network, sample):
        super().__init__()
        self.network = network
        # In a tuple, lest Keras looks for variables in it.
        self.samples = (sample,)

    def call(self, inputs, training=None):
        with provided(self, self.samples[0]):
            return self.network(inputs, training=training)


def fill(layer, seed=0):
    """Gives every weight numbers large enough to show in the output."""
    random = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(random.normal(0, 0.5, variable.shape))
