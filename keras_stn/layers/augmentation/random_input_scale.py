import keras

from keras_stn.layers.augmentation.base_augmentation import BaseAugmentation


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomInputScale(BaseAugmentation):
    """Multiplies each example by a random number, as far as may be tuned.

    In training every example draws its own multiplier, uniform between
    `1 / (1 + factor)` and `1 + factor`. Put it behind the normalization.

    Args:
        factor: Non-negative float, or an `stn.Float` whose range is
            non-negative: the strength. A pair `(lower, upper)` stands for
            multipliers between `1 / (1 + lower)` and `1 + upper`.
        seed: Integer, the random seed.

    Call arguments:
        inputs: Tensor of shape `(batch_size, ...)`.
        training: Boolean, whether to change the inputs.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ...)`, of any rank.

    Output shape:
        Same as input.

    Raises:
        ValueError: If the factor is out of range.

    Example:

    >>> import keras_stn as stn
    >>> scale = stn.Float("input_scale", 0.0, 0.3, default=0.05)
    >>> layer = stn.layers.RandomInputScale(scale)

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.2
    """

    config_names = ("factor",)
    images_only = False

    def __init__(self, factor, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.factor = self.declare_factor("factor", factor, 0.0, float("inf"))

    def to_bounds(self, strength):
        return strength, strength

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        return {"factor": self.uniform(images, 1 / (1 + lower), 1 + upper)}

    def transform_images(self, images, transformation):
        return images * transformation["factor"]
