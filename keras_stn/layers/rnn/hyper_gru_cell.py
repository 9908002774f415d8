import keras
from keras import ops

from keras_stn.layers.rnn.hyper_cell import HyperCell


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperGRUCell(HyperCell, keras.layers.GRUCell):
    """GRU cell whose weights respond to hyperparameters.

    Use it in `keras.layers.RNN` or `keras.layers.StackedRNNCells`; a layer of
    one cell is `HyperGRU`, which maps the inputs of all time steps at once
    and is faster. On its own it is an ordinary `GRUCell`.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.GRUCell`, in its order.
        dropout: As in `HyperLSTMCell`.
        recurrent_dropout: As in `HyperLSTMCell`.
        recurrent_dropconnect: As in `HyperLSTMCell`.
        **kwargs: Further arguments of `keras.layers.GRUCell`.

    Call arguments:
        inputs: Tensor of shape `(batch_size, features)`.
        states: Tensor of shape `(batch_size, units)`, or a list of it.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Raises:
        ValueError: If a rate or its range is not between 0 and 1.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = keras.layers.RNN(stn.layers.HyperGRUCell(4))
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 4])

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
          the equation for Ŵ_φ.
        - [Cho et al., 2014](https://arxiv.org/abs/1406.1078)
    """

    def biases(self, hyperparameters):
        bias = self.bias_rows(hyperparameters)
        if bias is None or not self.reset_after:
            return bias, None
        return bias[:, 0], bias[:, 1]

    def recurrent_map(self, state, hyperparameters, training):
        whole = super().recurrent_map(state, hyperparameters, training)
        if self.reset_after:
            return whole
        gates = 2 * self.units
        return whole.columns(0, gates), whole.columns(gates, 3 * self.units)

    def advance(self, projected, states, recurrent):
        (h,) = states
        x_gates, x_new = ops.split(projected, [2 * self.units], axis=-1)
        if self.reset_after:
            h_gates, h_new = ops.split(recurrent(h), [2 * self.units], axis=-1)
        else:
            map_to_gates, map_to_new = recurrent
            h_gates = map_to_gates(h)
        gates = self.recurrent_activation(x_gates + h_gates)
        update, reset = ops.split(gates, 2, axis=-1)
        h_new = reset * h_new if self.reset_after else map_to_new(reset * h)
        h = update * h + (1 - update) * self.activation(x_new + h_new)
        return h, [h]
