"""The recurrent layers and cells that the tests of this folder go through."""

import keras
import numpy as np

from keras_stn import layers
from keras_stn.layers import response_layer
from keras_stn.layers.rnn import hyper_cell
from tests.layers.samples import fill

BATCH, STEPS, FEATURES, UNITS = 6, 3, 5, 2
N = 2

# A new layer or cell is covered by its line here: it, what it replaces in
# Keras, and its arguments.
CASES = {
    "lstm": (layers.HyperLSTM, keras.layers.LSTM, {}),
    "lstm_cell": (layers.HyperLSTMCell, keras.layers.LSTMCell, {}),
    "gru": (layers.HyperGRU, keras.layers.GRU, {}),
    "gru_reset_before": (
        layers.HyperGRU,
        keras.layers.GRU,
        {"reset_after": False},
    ),
    "gru_cell": (layers.HyperGRUCell, keras.layers.GRUCell, {}),
    "simple_rnn": (layers.HyperSimpleRNN, keras.layers.SimpleRNN, {}),
    "simple_rnn_cell": (
        layers.HyperSimpleRNNCell,
        keras.layers.SimpleRNNCell,
        {},
    ),
}

# The arguments that `RNN` takes around a cell.
OF_LAYER = (
    "go_backwards",
    "name",
    "return_sequences",
    "return_state",
    "stateful",
    "unroll",
    "zero_output_for_mask",
)


class Case:
    """Makes layers, inputs and weights of one line of `CASES`.

    A cell comes in a `keras.layers.RNN`.
    """

    def __init__(self, name):
        self.name = name
        self.hyper_class, self.keras_class, self.arguments = CASES[name]
        self.is_cell = not issubclass(self.hyper_class, keras.layers.RNN)

    def make(self, **arguments):
        """An unbuilt layer."""
        return self._make(self.hyper_class, arguments)

    def build(self, **arguments):
        """A layer with gates, all of whose weights show in its output."""
        layer = self.make(**arguments)
        layer.cell.build_gates(N)
        layer.build((BATCH, STEPS, FEATURES))
        fill(layer.cell)
        return layer

    def make_keras(self, weights=None, **arguments):
        """The built layer of Keras, with the weights that are given."""
        layer = self._make(self.keras_class, arguments)
        layer.build((BATCH, STEPS, FEATURES))
        if weights is not None:
            count = len(layer.cell.trainable_weights)
            layer.cell.set_weights(weights[:count])
        return layer

    def _make(self, kind, arguments):
        arguments = {"units": UNITS, **self.arguments, **arguments}
        if "recurrent_activation" in arguments and "simple" in self.name:
            del arguments["recurrent_activation"]
        if not self.is_cell:
            return kind(**arguments)
        of_layer = {n: arguments.pop(n) for n in OF_LAYER if n in arguments}
        if "dtype" in arguments:
            of_layer["dtype"] = arguments["dtype"]
        return keras.layers.RNN(kind(**arguments), **of_layer)


def responding_weights(cell, row):
    """A cell's kernel, recurrent kernel and bias at one row, as arrays."""
    weights = {v.name: v.numpy() for v in cell.weights}
    return [
        weights[name]
        + np.tensordot(row, weights[f"{name}_gate"], 1)
        * weights[f"response_{name}"]
        for name in ("kernel", "recurrent_kernel", "bias")
        if name in weights
    ]


def make_inputs(batch_size=BATCH, steps=STEPS, dtype="float32"):
    shape = (batch_size, steps, FEATURES)
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def make_rows(groups, columns=N, dtype="float32"):
    rows = np.random.default_rng(2).normal(size=(groups, columns))
    return rows.astype(dtype)


# Numbers of positions a kernel that force the one or the other computation.
KERNELS, GATES = 0, 10**9


def force(monkeypatch, computation):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    monkeypatch.setattr(hyper_cell, "EXAMPLES_PER_KERNEL", computation)
