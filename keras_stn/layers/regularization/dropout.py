import keras
from keras import ops

from keras_stn import random
from keras_stn.layers.regularization.tunable_strength import TunableStrength


class BaseDropout(TunableStrength):
    """What the dropouts share: the mask."""

    def regularize(self, inputs, strength):
        # The mask has no derivative, so neither has the factor that makes up
        # for it: half of a gradient would be worse than none.
        rate = ops.stop_gradient(
            ops.convert_to_tensor(strength, self.strength_dtype)
        )
        noise = self.draw_noise(inputs, self.strength_dtype)
        # A rate of 1 drops everything: there the factor must stay finite.
        keep = ops.maximum(1 - rate, keras.config.epsilon())
        kept = inputs / ops.cast(keep, inputs.dtype)
        return ops.where(noise >= rate, kept, 0)

    @property
    def strength_dtype(self):
        # Half precision would round small rates, and the noise to steps that
        # are larger than they.
        return keras.backend.result_type(self.compute_dtype, "float32")

    def draw_noise(self, inputs, dtype):
        """Draws what the mask is made of, between 0 and 1.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            dtype: The dtype of the result.

        Returns:
            Tensor that broadcasts against `inputs`.
        """
        shape = self.get_noise_shape(inputs)
        is_shared = self.noise_shape and self.noise_shape[0] == 1
        draw = keras.random.uniform if is_shared else random.uniform
        return draw(shape, dtype=dtype, seed=self.seed_generator)

    def get_noise_shape(self, inputs):
        """The shape of the mask."""
        shape = ops.shape(inputs)
        if self.noise_shape is None:
            return shape
        return tuple(
            size if given is None else given
            for given, size in zip(self.noise_shape, shape)
        )


@keras.saving.register_keras_serializable(package="keras_stn")
class Dropout(BaseDropout, keras.layers.Dropout):
    """Dropout whose rate may be tuned, with a rate of its own per example.

    With a number as `rate` it is `keras.layers.Dropout`, seed and all. With a
    `Float` every example is dropped at its own perturbed rate in training;
    in tuning steps and inference nothing is dropped.

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
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.Dropout(rate)
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)


def draw_factors(shape, rate, dtype, seed, draw=random.uniform):
    """Draws what dropout multiplies by.

    Args:
        shape: Tuple of integers, the shape of the mask.
        rate: Number, or tensor that broadcasts against the mask.
        dtype: The dtype of the result.
        seed: A `keras.random.SeedGenerator`.
        draw: Callable that draws the noise, as `keras.random.uniform` does;
            by default for a mask whose first axis counts examples.

    Returns:
        Tensor: 0 where something is dropped and `1 / (1 - rate)` elsewhere.
    """
    # Half precision would round small rates, and the noise to steps that are
    # larger than they.
    wide = keras.backend.result_type(dtype, "float32")
    rate = ops.stop_gradient(ops.convert_to_tensor(rate, wide))
    noise = draw(shape, dtype=wide, seed=seed)
    # A rate of 1 drops everything: there the factor must stay finite.
    keep = ops.maximum(1 - rate, keras.config.epsilon())
    return ops.cast(ops.where(noise >= rate, 1 / keep, 0), dtype)
