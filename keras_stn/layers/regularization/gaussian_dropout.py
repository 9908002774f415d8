import keras
from keras import ops

from keras_stn import random
from keras_stn.layers.regularization.tunable_strength import TunableStrength


@keras.saving.register_keras_serializable(package="keras_stn")
class GaussianDropout(TunableStrength, keras.layers.GaussianDropout):
    """Multiplicative Gaussian noise whose rate may be tuned.

    In training, inputs are multiplied by noise of mean 1 and standard
    deviation `sqrt(rate / (1 - rate))`.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there. The
            drop probability of the dropout of equal strength.
        seed: Integer, the random seed.

    Call arguments:
        inputs: Tensor of any rank.
        training: Boolean, whether to add noise.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ...)`.

    Output shape:
        Same as input.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> layer = stn.layers.GaussianDropout(rate)
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed=seed, **kwargs)

    def regularize(self, inputs, strength):
        strength = ops.convert_to_tensor(strength, self.compute_dtype)
        keep = ops.maximum(1 - strength, keras.config.epsilon())
        noise = random.normal(
            ops.shape(inputs),
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )
        # At 0 the root has no derivative; it must not see it.
        ratio = ops.where(strength > 0, strength, 1) / keep
        deviation = ops.where(strength > 0, ops.sqrt(ratio), 0)
        return inputs * (1 + deviation * noise)
