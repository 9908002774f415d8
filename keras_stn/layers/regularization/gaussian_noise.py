import keras
from keras import ops

from keras_stn import random
from keras_stn.layers.regularization.tunable_strength import TunableStrength


@keras.saving.register_keras_serializable(package="keras_stn")
class GaussianNoise(TunableStrength, keras.layers.GaussianNoise):
    """Additive Gaussian noise whose standard deviation may be tuned.

    In training, noise of mean 0 is added to the inputs.

    Args:
        stddev: Float between 0 and 1, or a `Float` whose range lies there.
            The standard deviation of the noise, in units of the input.
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
    >>> stddev = stn.Float("noise", 0.0, 1.0, default=0.05)
    >>> layer = stn.layers.GaussianNoise(stddev)
    """

    strength_name = "stddev"

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(stddev, seed=seed, **kwargs)

    def regularize(self, inputs, strength):
        noise = random.normal(
            ops.shape(inputs),
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )
        return inputs + strength * noise
