import keras

from keras_stn.layers.augmentation.color import scale_saturation
from keras_stn.layers.augmentation.color_augmentation import ColorAugmentation


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomSaturation(ColorAugmentation):
    """Scales the saturation of RGB images at random, as far as may be tuned.

    In training every image draws its own f, uniform between
    `(1 - factor) / 2` and `(1 + factor) / 2`, and its HSV saturation is
    multiplied by `f / (1 - f)`: f = 0 makes it grey, 0.5 leaves it unchanged
    and 1 saturates it fully. A pair `(lower, upper)` bounds f itself, as in
    `keras.layers.RandomSaturation`. There a single number is an upper bound,
    with 0 for grey; here it is a strength, with 0 for no change.

    Args:
        factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength. Or a pair of numbers between 0 and 1.
        value_range: Pair `(low, high)` of the values of black and white, each
            a number or a sequence of one number a channel.
        data_format: `"channels_last"` or `"channels_first"`. If `None`,
            Keras's setting.
        seed: Integer, the random seed.

    Call arguments:
        inputs: Tensor, a batch of images or a single image.
        training: Boolean, whether to change the images.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, 3)` or `(batch_size, 3, height, width)`,
        or a single image.

    Output shape:
        Same as input.

    Raises:
        ValueError: If the factor is out of range, or the images have not
            three channels.

    Example:

    >>> import keras_stn as stn
    >>> saturation = stn.Float("saturation", 0.0, 1.0, default=0.05)
    >>> layer = stn.layers.RandomSaturation(saturation, value_range=(0, 1))
    """

    config_names = ("factor",)
    keras_needs_bounds = True

    def __init__(
        self,
        factor,
        value_range=(0, 255),
        data_format=None,
        seed=None,
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
        return (1 - strength) / 2, (1 + strength) / 2

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        factor = self.uniform(images, lower, upper)
        return {"factor": factor / (1 - factor + keras.config.epsilon())}

    def transform_planes(self, planes, levels, transformation):
        return self.transform_rgb(
            scale_saturation, planes, levels, transformation["factor"]
        )
