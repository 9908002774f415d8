import keras

from keras_stn.layers.convolutional.base_hyper_depthwise_conv import (
    BaseHyperDepthwiseConv,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperDepthwiseConv2D(
    BaseHyperDepthwiseConv, keras.layers.DepthwiseConv2D
):
    """2D depthwise convolution whose weights respond to hyperparameters.

    Use it in place of `keras.layers.DepthwiseConv2D` in a network that a
    `SelfTuningModel` trains. It learns how its best kernels change with the
    hyperparameters of the model, with a gate for each output channel. On its
    own it is an ordinary `DepthwiseConv2D` layer.

    Args:
        kernel_size: Integer or tuple of 2, the size of the window.
        strides: Integer or tuple of 2, the stride of the convolution.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Positive integer, the number of output channels for
            each input channel.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or tuple of 2, the dilation.
        activation: Activation function. If `None`, none is applied.
        use_bias: Boolean, whether a bias is added.
        depthwise_initializer: Initializer for the kernel and its response.
        bias_initializer: Initializer for the bias and its response.
        depthwise_regularizer: Regularizer function applied to `kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        activity_regularizer: Regularizer function applied to the output.
        depthwise_constraint: Constraint function applied to `kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.DepthwiseConv2D`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, channels)` with
        `data_format="channels_last"`, or
        `(batch_size, channels, height, width)`.

    Output shape:
        `(batch_size, new_height, new_width, channels * depth_multiplier)` or
        `(batch_size, channels * depth_multiplier, new_height, new_width)`.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperDepthwiseConv2D(3, depth_multiplier=2)
    >>> layer(np.ones((2, 8, 8, 3))).shape
    TensorShape([2, 6, 6, 6])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """
