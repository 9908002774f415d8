import keras
from keras import ops

from keras_stn.layers.augmentation.color_augmentation import ColorAugmentation


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomContrast(ColorAugmentation):
    """Scales the contrast of images at random, as far as may be tuned.

    In training every image draws its own multiplier, uniform between
    `1 - factor` and `1 + factor`, for the distance of its pixels from the
    mean of their channel, and is clipped to `value_range`. With a pair it
    does what `keras.layers.RandomContrast` does; with a number, what Keras
    documents (Keras 3.15 draws between 1 and `1 + factor`).

    Args:
        factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength. A pair `(lower, upper)` stands for
            multipliers between `1 - lower` and `1 + upper`.
        value_range: Pair `(low, high)` of the values of black and white, each
            a number or a sequence of one number a channel.
        seed: Integer, the random seed.
        data_format: `"channels_last"` or `"channels_first"`. If `None`,
            Keras's setting.

    Call arguments:
        inputs: Tensor, a batch of images or a single image.
        training: Boolean, whether to change the images.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, channels)` or
        `(batch_size, channels, height, width)`, or a single image.

    Output shape:
        Same as input.

    Raises:
        ValueError: If the factor is out of range.

    Example:

    >>> import keras_stn as stn
    >>> contrast = stn.Float("contrast", 0.0, 1.0, default=0.05)
    >>> layer = stn.layers.RandomContrast(contrast, value_range=(0, 1))
    """

    config_names = ("factor",)
    keras_needs_bounds = True

    def __init__(
        self,
        factor,
        value_range=(0, 255),
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(
            value_range=value_range,
            data_format=data_format,
            seed=seed,
            **kwargs,
        )
        self.factor = self.declare_factor("factor", factor, 0.0, 1.0)

    def to_bounds(self, strength):
        return strength, strength

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        return {"factor": self.uniform(images, 1 - lower, 1 + upper)}

    def transform_planes(self, planes, levels, transformation):
        factor = transformation["factor"]
        outputs = []
        for plane, (low, high) in zip(planes, levels):
            mean = ops.mean(plane, axis=(1, 2, 3), keepdims=True)
            plane = factor * plane + (1 - factor) * mean
            outputs.append(ops.clip(plane, low, high))
        return outputs
