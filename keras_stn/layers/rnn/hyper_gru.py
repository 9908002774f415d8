import keras
from keras.src import backend

from keras_stn.layers.rnn.hyper_gru_cell import HyperGRUCell
from keras_stn.layers.rnn.hyper_rnn import HyperRNN


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperGRU(HyperRNN, keras.layers.GRU):
    """Gated recurrent unit layer whose weights respond to hyperparameters.

    Use it in place of `keras.layers.GRU` in a network that a
    `SelfTuningModel` trains. On its own it is an ordinary `GRU`, but that its
    recurrent kernel may be dropped.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.GRU`, in its order.
        dropout: As in `HyperLSTM`.
        recurrent_dropout: As in `HyperLSTM`.
        recurrent_dropconnect: As in `HyperLSTM`.
        **kwargs: Further arguments of `keras.layers.GRU`.

    Call arguments:
        sequences: Tensor of shape `(batch_size, timesteps, features)`.
        initial_state: List of one tensor of shape `(batch_size, units)`, or
            `None` for zeros.
        mask: Boolean tensor of shape `(batch_size, timesteps)`; `False` steps
            are skipped.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Output shape:
        `(batch_size, units)`; with `return_sequences`, `(batch_size,
        timesteps, units)`. With `return_state` followed by a tensor of shape
        `(batch_size, units)`.

    Raises:
        ValueError: If a rate or its range is not between 0 and 1.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperGRU(4, return_sequences=True)
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 5, 4])

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
          the equation for Ŵ_φ.
        - [Cho et al., 2014](https://arxiv.org/abs/1406.1078)
    """

    cell_class = HyperGRUCell

    def fused_loop(self, sequences, initial_state, mask, **kwargs):
        return backend.gru(
            sequences,
            initial_state[0],
            mask,
            reset_after=self.cell.reset_after,
            **kwargs,
        )
