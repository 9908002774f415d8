import keras

from keras_stn.layers.rnn.hyper_cell import HyperCell


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperSimpleRNNCell(HyperCell, keras.layers.SimpleRNNCell):
    """Fully connected recurrent cell whose weights respond.

    Use it in `keras.layers.RNN` or `keras.layers.StackedRNNCells`. On its own
    it is an ordinary `SimpleRNNCell`.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.SimpleRNNCell`, in its
            order.
        dropout: As in `HyperLSTMCell`.
        recurrent_dropout: As in `HyperLSTMCell`.
        recurrent_dropconnect: As in `HyperLSTMCell`.
        **kwargs: Further arguments of `keras.layers.SimpleRNNCell`.

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
    >>> layer = keras.layers.RNN(stn.layers.HyperSimpleRNNCell(4))
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    def advance(self, projected, states, recurrent):
        (h,) = states
        h = projected + recurrent(h)
        if self.activation is not None:
            h = self.activation(h)
        return h, [h]
