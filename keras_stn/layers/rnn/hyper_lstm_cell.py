import keras
from keras import ops

from keras_stn.layers.rnn.hyper_cell import HyperCell


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperLSTMCell(HyperCell, keras.layers.LSTMCell):
    """LSTM cell whose weights respond to hyperparameters.

    Use it in `keras.layers.RNN` or `keras.layers.StackedRNNCells`; a layer of
    one cell is `HyperLSTM`, which maps the inputs of all time steps at once
    and is faster. On its own it is an ordinary `LSTMCell`.

    Its kernel, recurrent kernel and bias have a response each, with a gate an
    output of every LSTM gate. A bias stands for the two that the official
    code adds up.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.LSTMCell`, in its order.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the inputs to drop, with one mask for all time steps.
        recurrent_dropout: As `dropout`, for the recurrent state.
        recurrent_dropconnect: Float between 0 and 1, or a `Float` whose range
            lies there. Fraction of the entries of the recurrent kernel to
            drop, with one mask for all time steps: see `WeightDropConnect`.
        **kwargs: Further arguments of `keras.layers.LSTMCell`.

    Call arguments:
        inputs: Tensor of shape `(batch_size, features)`.
        states: List of two tensors of shape `(batch_size, units)`, the state
            and the carry of the previous time step.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Raises:
        ValueError: If a rate or its range is not between 0 and 1.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = keras.layers.RNN(stn.layers.HyperLSTMCell(4))
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 4])

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
          the equation for Ŵ_φ.
        - [Hochreiter and Schmidhuber, 1997](https://doi.org/10.1162/neco.1997.9.8.1735)
    """

    def advance(self, projected, states, recurrent):
        h, c = states
        i, f, new, o = ops.split(projected + recurrent(h), 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(
            i
        ) * self.activation(new)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]
