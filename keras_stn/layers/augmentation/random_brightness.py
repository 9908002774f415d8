import keras
from keras import ops

from keras_stn.layers.augmentation.color_augmentation import ColorAugmentation


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomBrightness(ColorAugmentation):
    """Adds a random brightness to images, as much as may be tuned.

    In training every image gets its own shift, uniform between `-factor` and
    `factor` of the distance from black to white, and is clipped to
    `value_range`. With a number or pair it does what
    `keras.layers.RandomBrightness` does.

    Args:
        factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength. Or a pair `(lower, upper)` of numbers between
            -1 and 1.
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
    >>> brightness = stn.Float("brightness", 0.0, 1.0, default=0.05)
    >>> layer = stn.layers.RandomBrightness(brightness, value_range=(0, 1))
    """

    config_names = ("factor",)

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
        self.factor = self.declare_factor("factor", factor, -1.0, 1.0)

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        return {"shift": self.uniform(images, lower, upper)}

    def transform_planes(self, planes, levels, transformation):
        return [
            ops.clip(plane + transformation["shift"] * (high - low), low, high)
            for plane, (low, high) in zip(planes, levels)
        ]
