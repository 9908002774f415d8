import keras

from keras_stn.layers.convolutional.base_hyper_separable_conv import (
    BaseHyperSeparableConv,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperSeparableConv1D(
    BaseHyperSeparableConv, keras.layers.SeparableConv1D
):
    """1D separable convolution whose weights respond to hyperparameters.

    Use it in place of `keras.layers.SeparableConv1D` in a network that a
    `SelfTuningModel` trains. It learns how its best kernels change with the
    hyperparameters of the model: the depthwise kernel with a gate for each
    channel that it puts out, the pointwise kernel with a gate for each filter.
    On its own it is an ordinary `SeparableConv1D` layer.

    Args:
        filters: Integer, the number of filters.
        kernel_size: Integer or tuple of 1, the size of the window.
        strides: Integer or tuple of 1, the stride of the depthwise
            convolution.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Integer or tuple of 1, the dilation.
        depth_multiplier: Positive integer, the number of channels that the
            depthwise convolution makes of each input channel.
        activation: Activation function. If `None`, none is applied.
        use_bias: Boolean, whether a bias is added.
        depthwise_initializer: Initializer for the depthwise kernel and its
            response.
        pointwise_initializer: Initializer for the pointwise kernel and its
            response.
        bias_initializer: Initializer for the bias and its response.
        depthwise_regularizer: Regularizer function applied to
            `depthwise_kernel`.
        pointwise_regularizer: Regularizer function applied to
            `pointwise_kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        activity_regularizer: Regularizer function applied to the output.
        depthwise_constraint: Constraint function applied to
            `depthwise_kernel`.
        pointwise_constraint: Constraint function applied to
            `pointwise_kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.SeparableConv1D`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, steps, channels)` with `data_format="channels_last"`,
        or `(batch_size, channels, steps)`.

    Output shape:
        `(batch_size, new_steps, filters)` or
        `(batch_size, filters, new_steps)`.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperSeparableConv1D(4, 3, activation="relu")
    >>> layer(np.ones((2, 8, 3))).shape
    TensorShape([2, 6, 4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """
