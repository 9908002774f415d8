import keras
from keras.src import backend

from keras_stn.layers.rnn.hyper_lstm_cell import HyperLSTMCell
from keras_stn.layers.rnn.hyper_rnn import HyperRNN


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperLSTM(HyperRNN, keras.layers.LSTM):
    """Long short-term memory layer whose weights respond to hyperparameters.

    Use it in place of `keras.layers.LSTM` in a network that a
    `SelfTuningModel` trains. On its own it is an ordinary `LSTM`, but that
    its recurrent kernel may be dropped.

    Dropout masks are drawn once for a sequence and shared by its time steps.
    In a `SelfTuningModel` the four gates share them too, as in Keras without
    `recurrent_dropout`.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.LSTM`, in its order.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the inputs to drop, at a rate of its own per example.
        recurrent_dropout: As `dropout`, for the recurrent state.
        recurrent_dropconnect: Float between 0 and 1, or a `Float` whose range
            lies there. Fraction of the entries of the recurrent kernel to
            drop: see `WeightDropConnect`. A `Float` best has
            `per_example=False`.
        **kwargs: Further arguments of `keras.layers.LSTM`, such as
            `return_sequences`, `return_state`, `go_backwards`, `stateful`,
            `unroll` and `use_cudnn`.

    Call arguments:
        sequences: Tensor of shape `(batch_size, timesteps, features)`.
        initial_state: List of two tensors of shape `(batch_size, units)`, or
            `None` for zeros.
        mask: Boolean tensor of shape `(batch_size, timesteps)`; `False` steps
            are skipped.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Output shape:
        `(batch_size, units)`; with `return_sequences`, `(batch_size,
        timesteps, units)`. With `return_state` followed by two tensors of
        shape `(batch_size, units)`.

    Raises:
        ValueError: If a rate or its range is not between 0 and 1.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> rate = stn.Float("dropconnect", 0.0, 0.9, 0.05, per_example=False)
    >>> layer = stn.layers.HyperLSTM(4, recurrent_dropconnect=rate)
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 4])

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
          the equation for Ŵ_φ.
        - [Merity et al., 2018](https://arxiv.org/abs/1708.02182), for
          DropConnect on the recurrent kernel.
    """

    cell_class = HyperLSTMCell

    def fused_loop(self, sequences, initial_state, mask, **kwargs):
        return backend.lstm(sequences, *initial_state, mask, **kwargs)
