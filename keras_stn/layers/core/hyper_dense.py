import keras

from keras_stn.layers.dense_response import DenseResponse


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperDense(DenseResponse, keras.layers.Dense):
    """Densely connected layer whose weights respond to hyperparameters.

    Use it in place of `keras.layers.Dense` in a network that a
    `SelfTuningModel` trains. It learns how its best weights change with the
    hyperparameters of the model, which is what lets a validation loss tell
    the model where to move them. On its own it is an ordinary `Dense` layer.

    Args:
        units: Positive integer, dimensionality of the output space.
        activation: Activation function to use. If you don't specify anything,
            no activation is applied.
        use_bias: Boolean, whether the layer uses a bias vector.
        kernel_initializer: Initializer for the kernel and its response.
        bias_initializer: Initializer for the bias and its response.
        kernel_regularizer: Regularizer function applied to `kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        activity_regularizer: Regularizer function applied to the output.
        kernel_constraint: Constraint function applied to `kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.Dense`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ..., input_dim)`.

    Output shape:
        `(batch_size, ..., units)`.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperDense(3, activation="relu")
    >>> layer(np.ones((2, 5))).shape
    TensorShape([2, 3])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    def call(self, inputs, training=None, hyperparameters=None):
        hyperparameters = self.received(hyperparameters)
        if not self.responds_to(hyperparameters):
            return super().call(inputs, training=training)
        return self.apply_response(inputs, hyperparameters)
