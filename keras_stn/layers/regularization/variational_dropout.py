import keras

from keras_stn.layers.regularization.spatial_dropout import SpatialDropout1D


@keras.saving.register_keras_serializable(package="keras_stn")
class VariationalDropout(SpatialDropout1D):
    """Dropout of a sequence with one mask for all time steps.

    Every example has its own mask and, with a `Float`, its own rate. Choose
    it between recurrent layers, where `Dropout`, which drops anew at each
    step, would keep the network from remembering. The computation is that of
    `SpatialDropout1D`; this is its name in the literature on recurrent
    networks, where it is called locked dropout as well.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the features to drop.
        seed: Integer, the random seed.
        name: String, the layer's name.
        dtype: The layer's dtype or dtype policy.

    Call arguments:
        inputs: Tensor.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the rate is its starting value.

    Input shape:
        `(batch_size, steps, features)`.

    Output shape:
        Same as input.

    Raises:
        ValueError: If the rate or its range is not between 0 and 1.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.VariationalDropout(rate)

    Reference:
        [Gal and Ghahramani, 2016](https://arxiv.org/abs/1512.05287)
    """
