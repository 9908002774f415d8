import keras
from keras import ops

from keras_stn.layers.convolutional.base_hyper_conv import BaseHyperConv


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperConv1D(BaseHyperConv, keras.layers.Conv1D):
    """1D convolution (temporal) whose weights respond to hyperparameters.

    Use it in place of `keras.layers.Conv1D` in a network that a
    `SelfTuningModel` trains. It learns how its best filters change with the
    hyperparameters of the model. On its own it is an ordinary `Conv1D` layer.

    Args:
        filters: Integer, the number of filters.
        kernel_size: Integer or tuple of 1, the size of the window.
        strides: Integer or tuple of 1, the stride of the convolution.
        padding: `"valid"`, `"same"` or `"causal"`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or tuple of 1, the dilation.
        groups: Positive integer, the number of groups of channels that are
            convolved separately.
        activation: Activation function. If `None`, none is applied.
        use_bias: Boolean, whether a bias is added.
        kernel_initializer: Initializer for the kernel and its response.
        bias_initializer: Initializer for the bias and its response.
        kernel_regularizer: Regularizer function applied to `kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        activity_regularizer: Regularizer function applied to the output.
        kernel_constraint: Constraint function applied to `kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.Conv1D`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, steps, channels)` with
        `data_format="channels_last"`, or `(batch_size, channels, steps)`.

    Output shape:
        `(batch_size, new_steps, filters)` or
        `(batch_size, filters, new_steps)`.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperConv1D(4, 3, activation="relu")
    >>> layer(np.ones((2, 8, 3))).shape
    TensorShape([2, 6, 4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    def linear(self, inputs, kernel):
        if self.padding != "causal":
            return super().linear(inputs, kernel)
        return ops.conv(
            ops.pad(inputs, self._compute_causal_padding()),
            kernel,
            strides=list(self.strides),
            padding="valid",
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
