import keras
from keras import ops

from keras_stn.layers.augmentation.geometric_augmentation import (
    GeometricAugmentation,
)
from keras_stn.layers.augmentation.resampling import scale_and_translate


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomTranslation(GeometricAugmentation):
    """Shifts images at random, as far as may be tuned.

    In training every image draws its own shifts down and to the right, uniform
    between `-factor` and `factor` of its height and of its width. With a
    number or pair it does what `keras.layers.RandomTranslation` does,
    differentiably.

    Args:
        height_factor: Float between 0 and 1, or an `stn.Float` whose range
            lies there: the strength. 0 leaves images unchanged. Or a pair
            `(lower, upper)` of numbers between -1 and 1, negative for up.
        width_factor: The same for shifts sideways, negative for left. It may
            be the hyperparameter of `height_factor`; the two shifts are still
            drawn apart.
        fill_mode: What lies outside of the image: `"reflect"`
            (`dcba|abcd|dcba`), `"wrap"` (`abcd|abcd|abcd`), `"constant"`
            (`kkkk|abcd|kkkk`) or `"nearest"` (`aaaa|abcd|dddd`). With
            `"wrap"`, as in Keras, a place between the two edges is that of
            one edge and no mixture; so the image jumps there, however small
            the strength.
        interpolation: `"bilinear"`, or `"nearest"`, which has no gradient to
            the strength.
        seed: Integer, the random seed.
        fill_value: Float, the k of the fill mode `"constant"`.
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
        ValueError: If a factor is out of range, or `fill_mode` or
            `interpolation` is unknown.

    Example:

    >>> import keras_stn as stn
    >>> shift = stn.Float("shift", 0.0, 0.5, default=0.05)
    >>> layer = stn.layers.RandomTranslation(shift, shift)
    """

    config_names = ("height_factor", "width_factor")

    def __init__(
        self,
        height_factor,
        width_factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(
            fill_mode=fill_mode,
            interpolation=interpolation,
            fill_value=fill_value,
            data_format=data_format,
            seed=seed,
            **kwargs,
        )
        self.height_factor = self.declare_factor(
            "height_factor", height_factor, -1.0, 1.0
        )
        self.width_factor = self.declare_factor(
            "width_factor", width_factor, -1.0, 1.0
        )

    def get_random_transformation(self, images, hyperparameters=None):
        transformation = {}
        for name in ("height", "width"):
            factor = getattr(self, f"{name}_factor")
            lower, upper = self.bounds(factor, images, hyperparameters)
            transformation[f"{name}_shift"] = self.uniform(images, lower, upper)
        return transformation

    def move_pixels(self, images, transformation):
        _, height, width, _ = ops.shape(images)
        offsets = [
            -ops.reshape(shift, (-1, 1)) * ops.cast(size, images.dtype)
            for shift, size in (
                (transformation["height_shift"], height),
                (transformation["width_shift"], width),
            )
        ]
        return scale_and_translate(images, (1, 1), offsets, **self.sampling)
