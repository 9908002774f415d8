import keras

from keras_stn.layers.regularization.dropout import BaseDropout


class BaseSpatialDropout(BaseDropout):
    """What the spatial dropouts share: Keras's shape of their mask."""

    def get_noise_shape(self, inputs):
        return self._get_noise_shape(inputs)


@keras.saving.register_keras_serializable(package="keras_stn")
class SpatialDropout1D(BaseSpatialDropout, keras.layers.SpatialDropout1D):
    """Dropout of whole 1D feature maps whose rate may be tuned.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
        seed: Integer, the random seed.
        name: String, the layer's name.
        dtype: The layer's dtype or dtype policy.

    Call arguments:
        inputs: Tensor.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, steps, channels)`.

    Output shape:
        Same as input.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.SpatialDropout1D(rate)

    Reference:
        [Tompson et al., 2014](https://arxiv.org/abs/1411.4280)
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)


@keras.saving.register_keras_serializable(package="keras_stn")
class SpatialDropout2D(BaseSpatialDropout, keras.layers.SpatialDropout2D):
    """Dropout of whole 2D feature maps whose rate may be tuned.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
        data_format: `"channels_last"` or `"channels_first"`.
        seed: Integer, the random seed.
        name: String, the layer's name.
        dtype: The layer's dtype or dtype policy.

    Call arguments:
        inputs: Tensor.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, channels)` with
        `data_format="channels_last"`, or
        `(batch_size, channels, height, width)`.

    Output shape:
        Same as input.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.SpatialDropout2D(rate)

    Reference:
        [Tompson et al., 2014](https://arxiv.org/abs/1411.4280)
    """

    def __init__(self, rate, data_format=None, seed=None, **kwargs):
        super().__init__(rate, data_format=data_format, seed=seed, **kwargs)


@keras.saving.register_keras_serializable(package="keras_stn")
class SpatialDropout3D(BaseSpatialDropout, keras.layers.SpatialDropout3D):
    """Dropout of whole 3D feature maps whose rate may be tuned.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
        data_format: `"channels_last"` or `"channels_first"`.
        seed: Integer, the random seed.
        name: String, the layer's name.
        dtype: The layer's dtype or dtype policy.

    Call arguments:
        inputs: Tensor.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, dim1, dim2, dim3, channels)` with
        `data_format="channels_last"`, or
        `(batch_size, channels, dim1, dim2, dim3)`.

    Output shape:
        Same as input.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.SpatialDropout3D(rate)

    Reference:
        [Tompson et al., 2014](https://arxiv.org/abs/1411.4280)
    """

    def __init__(self, rate, data_format=None, seed=None, **kwargs):
        super().__init__(rate, data_format=data_format, seed=seed, **kwargs)
