import keras

from keras_stn.layers.rnn.hyper_rnn import HyperRNN
from keras_stn.layers.rnn.hyper_simple_rnn_cell import HyperSimpleRNNCell


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperSimpleRNN(HyperRNN, keras.layers.SimpleRNN):
    """Fully connected recurrent layer whose weights respond.

    Use it in place of `keras.layers.SimpleRNN` in a network that a
    `SelfTuningModel` trains. On its own it is an ordinary `SimpleRNN`, but
    that its recurrent kernel may be dropped.

    Args:
        units: Positive integer, dimensionality of the output space.
        *args: Further arguments of `keras.layers.SimpleRNN`, in its order.
        dropout: As in `HyperLSTM`.
        recurrent_dropout: As in `HyperLSTM`.
        recurrent_dropconnect: As in `HyperLSTM`.
        **kwargs: Further arguments of `keras.layers.SimpleRNN`.

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
    >>> layer = stn.layers.HyperSimpleRNN(4, return_sequences=True)
    >>> layer(np.ones((2, 5, 3))).shape
    TensorShape([2, 5, 4])

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
          the equation for Ŵ_φ.
        - [Elman, 1990](https://doi.org/10.1207/s15516709cog1402_1)
    """

    cell_class = HyperSimpleRNNCell
    not_in_cell_config = ()
    # Keras has no fused loop for it.
    use_cudnn = False

    def get_config(self):
        # Keras leaves the seed out.
        return {**super().get_config(), "seed": self.cell.seed}
