import keras
from keras import ops

from keras_stn.layers.convolutional.base_hyper_conv import BaseHyperConv


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperConv2DTranspose(BaseHyperConv, keras.layers.Conv2DTranspose):
    """2D transposed convolution whose weights respond to hyperparameters.

    Use it in place of `keras.layers.Conv2DTranspose` in a network that a
    `SelfTuningModel` trains. It learns how its best filters change with the
    hyperparameters of the model. On its own it is an ordinary
    `Conv2DTranspose` layer.

    Args:
        filters: Integer, the number of filters.
        kernel_size: Integer or tuple of 2, the size of the window.
        strides: Integer or tuple of 2, the stride of the convolution.
        padding: `"valid"` or `"same"`.
        output_padding: Integer or tuple of 2, how many pixels to add to the
            output, less than the stride. If `None`, the size of the output
            is inferred.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or tuple of 2, the dilation.
        activation: Activation function. If `None`, none is applied.
        use_bias: Boolean, whether a bias is added.
        kernel_initializer: Initializer for the kernel and its response.
        bias_initializer: Initializer for the bias and its response.
        kernel_regularizer: Regularizer function applied to `kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        activity_regularizer: Regularizer function applied to the output.
        kernel_constraint: Constraint function applied to `kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.Conv2DTranspose`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, channels)` with
        `data_format="channels_last"`, or
        `(batch_size, channels, height, width)`.

    Output shape:
        `(batch_size, new_height, new_width, filters)` or
        `(batch_size, filters, new_height, new_width)`.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperConv2DTranspose(4, 3, strides=2)
    >>> layer(np.ones((2, 8, 8, 3))).shape
    TensorShape([2, 17, 17, 4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    def gate_axes(self, name):
        # A transposed kernel has its filters before its input channels.
        return (2,) if name == "kernel" else super().gate_axes(name)

    def linear(self, inputs, kernel):
        return ops.conv_transpose(
            inputs,
            kernel,
            output_padding=self.output_padding,
            **self.window,
        )

    def num_positions(self, inputs):
        # Every pixel of the input is spread by the kernel once.
        return self.count_positions(inputs.shape)
