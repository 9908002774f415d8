import keras
from keras import ops

from keras_stn.layers.regularization.dropout import BaseDropout

# What takes the place of a dropped unit: where SELU, whose constants these
# are, ends for inputs of minus infinity.
SATURATION = -1.6732632423543772 * 1.0507009873554805


@keras.saving.register_keras_serializable(package="keras_stn")
class AlphaDropout(BaseDropout, keras.layers.AlphaDropout):
    """Dropout for self-normalizing networks whose rate may be tuned.

    Use it behind layers with the activation `"selu"`. A dropped unit becomes
    what SELU gives to very negative inputs, and an affine map behind it keeps
    the mean of 0 and the variance of 1 that its input has, at every rate.

    With a number as `rate` it is `keras.layers.AlphaDropout`, seed and all.
    With a `Float` every example is dropped at its own perturbed rate in
    training; in tuning steps and inference nothing is dropped.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the input units to drop.
        noise_shape: Tuple of integers, the shape of the mask: 1 where it is
            shared along an axis, `None` where it is as large as the input.
        seed: Integer, the random seed.

    Call arguments:
        inputs: Tensor of any rank.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the rate is its starting value.

    Input shape:
        `(batch_size, ...)`.

    Output shape:
        Same as input.

    Raises:
        ValueError: If the rate or its range is not between 0 and 1.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.5, default=0.05)
    >>> layer = stn.layers.AlphaDropout(rate)

    Reference:
        [Klambauer et al., 2017](https://arxiv.org/abs/1706.02515)
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)

    def regularize(self, inputs, strength):
        # As in other dropouts: the mask has no derivative, nor has the map
        # that makes up for it.
        rate = ops.stop_gradient(
            ops.convert_to_tensor(strength, self.strength_dtype)
        )
        is_kept = self.draw_noise(inputs, self.strength_dtype) >= rate
        # A rate of 1 drops everything: there the factor must stay finite.
        keep = ops.maximum(1 - rate, keras.config.epsilon())
        scale = 1 / ops.sqrt(keep * (1 + rate * SATURATION**2))
        mean = ops.cast(rate * SATURATION, self.compute_dtype)
        outputs = ops.where(is_kept, inputs, SATURATION) - mean
        return outputs * ops.cast(scale, self.compute_dtype)
