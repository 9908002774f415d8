import keras
from keras import ops

from keras_stn.layers.augmentation.geometric_augmentation import (
    GeometricAugmentation,
)
from keras_stn.layers.augmentation.resampling import affine_transform


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomShear(GeometricAugmentation):
    """Shears images at random, as far as may be tuned.

    In training every image draws how many columns each row is moved further
    than the one above it, uniform between `-factor` and `factor`, and the same
    for columns. The upper left corner stays. With a number or pair it does
    what `keras.layers.RandomShear` does, differentiably: a single number is
    symmetric there too, whatever the documentation of Keras says.

    Args:
        x_factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength. 0 leaves images unchanged. Or a pair
            `(lower, upper)` of numbers between 0 and 1, drawn between and then
            negated for half of the images, in both directions at once.
        y_factor: The same for columns, which are moved up or down.
        interpolation: `"bilinear"`, or `"nearest"`, which has no gradient to
            the strength.
        fill_mode: What lies outside of the image: `"reflect"`
            (`dcba|abcd|dcba`), `"wrap"` (`abcd|abcd|abcd`), `"constant"`
            (`kkkk|abcd|kkkk`) or `"nearest"` (`aaaa|abcd|dddd`). With
            `"wrap"`, as in Keras, a place between the two edges is that of
            one edge and no mixture; so the image jumps there, however small
            the strength.
        fill_value: Float, the k of the fill mode `"constant"`.
        data_format: `"channels_last"` or `"channels_first"`. If `None`,
            Keras's setting.
        seed: Integer, the random seed.

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
    >>> shear = stn.Float("shear", 0.0, 0.5, default=0.02)
    >>> layer = stn.layers.RandomShear(shear, shear)
    """

    config_names = ("x_factor", "y_factor")

    def __init__(
        self,
        x_factor=0.0,
        y_factor=0.0,
        interpolation="bilinear",
        fill_mode="reflect",
        fill_value=0.0,
        data_format=None,
        seed=None,
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
        self.x_factor = self.declare_factor("x_factor", x_factor, 0.0, 1.0)
        self.y_factor = self.declare_factor("y_factor", y_factor, 0.0, 1.0)

    def get_random_transformation(self, images, hyperparameters=None):
        side = ops.where(self.uniform(images, 0.0, 1.0) > 0.5, -1.0, 1.0)
        side = ops.cast(side, images.dtype)
        transformation = {}
        # Keras draws y first.
        for name in ("y", "x"):
            factor = getattr(self, f"{name}_factor")
            lower, upper = self.bounds(factor, images, hyperparameters)
            shear = side * self.uniform(images, lower, upper)
            transformation[f"{name}_shear"] = shear
        return transformation

    def move_pixels(self, images, transformation):
        x = ops.reshape(transformation["x_shear"], (-1,))
        y = ops.reshape(transformation["y_shear"], (-1,))
        one, zero = ops.ones_like(x), ops.zeros_like(x)
        matrices = [
            ops.stack([one, x, zero], axis=1),
            ops.stack([y, one, zero], axis=1),
        ]
        matrices = ops.stack(matrices, axis=1)
        return affine_transform(images, matrices, **self.sampling)
