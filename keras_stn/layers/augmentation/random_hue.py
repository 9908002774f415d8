import keras
from keras import ops

from keras_stn.layers.augmentation.color import rotate_hue
from keras_stn.layers.augmentation.color_augmentation import ColorAugmentation


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomHue(ColorAugmentation):
    """Rotates the hue of RGB images at random, by an angle that may be tuned.

    In training every image gets its own rotation, uniform between
    `-factor / 2` and `factor / 2` turns of the HSV colour wheel. With a
    number or pair it does what `keras.layers.RandomHue` does, differentiably.

    Args:
        factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength. 0 leaves images unchanged, 1 rotates by up to
            half a turn. A pair `(lower, upper)` rotates by at least `lower`.
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
    >>> hue = stn.Float("hue", 0.0, 1.0, default=0.1)
    >>> layer = stn.layers.RandomHue(hue, value_range=(0, 1))
    """

    config_names = ("factor",)

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
        return 0.0, strength

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        side = self.uniform(images, 0.0, 1.0)
        factor = self.uniform(images, lower, upper)
        return {"turns": ops.where(side > 0.5, -factor, factor) / 2}

    def transform_planes(self, planes, levels, transformation):
        def rotate(planes, turns, black):
            return rotate_hue(planes, turns)

        return self.transform_rgb(
            rotate, planes, levels, transformation["turns"]
        )
