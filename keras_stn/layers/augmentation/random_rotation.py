import math

import keras
from keras import ops

from keras_stn.layers.augmentation.geometric_augmentation import (
    GeometricAugmentation,
)
from keras_stn.layers.augmentation.resampling import affine_transform


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomRotation(GeometricAugmentation):
    """Rotates images at random, as far as may be tuned.

    In training every image draws its own angle, uniform between `-factor` and
    `factor` full turns, and is rotated around its centre. With a number or
    pair it does what `keras.layers.RandomRotation` does, differentiably.

    Args:
        factor: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength, in full turns. 0 leaves images unchanged. Or a
            pair `(lower, upper)` of numbers between -1 and 1, negative for
            clockwise.
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
    >>> turn = stn.Float("turn", 0.0, 0.25, default=0.01)
    >>> layer = stn.layers.RandomRotation(turn)
    """

    config_names = ("factor",)

    def __init__(
        self,
        factor,
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
        self.factor = self.declare_factor("factor", factor, -1.0, 1.0)

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        return {"turns": self.uniform(images, lower, upper)}

    def move_pixels(self, images, transformation):
        _, height, width, _ = ops.shape(images)
        x, y = (
            (ops.cast(size, images.dtype) - 1) / 2 for size in (width, height)
        )
        angle = 2 * math.pi * ops.reshape(transformation["turns"], (-1,))
        cos, sin = ops.cos(angle), ops.sin(angle)
        # The centre (x, y) of the image stays where it is.
        matrices = [
            ops.stack([cos, -sin, x - x * cos + y * sin], axis=1),
            ops.stack([sin, cos, y - x * sin - y * cos], axis=1),
        ]
        matrices = ops.stack(matrices, axis=1)
        return affine_transform(images, matrices, **self.sampling)
