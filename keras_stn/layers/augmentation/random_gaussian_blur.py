import keras
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.layers.augmentation.base_augmentation import (
    ValueRangeAugmentation,
)
from keras_stn.layers.augmentation.base_augmentation import check_factor


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomGaussianBlur(ValueRangeAugmentation):
    """Blurs images at random, as much as may be tuned.

    In training every image is blurred with a probability that it draws
    uniformly from `factor`, by a Gaussian kernel whose widths in both
    directions it draws uniformly between 0 and `sigma`, and is clipped to
    `value_range`. Pixels beyond the edges count as 0.

    With a number or pair it does what `keras.layers.RandomGaussianBlur` does,
    but for two things. There all images of a batch share one draw of the
    widths; here every image draws its own, as the documentation of Keras has
    it. And the two sides of a kernel that is no square are in order here.

    Args:
        factor: Float between 0 and 1, or a pair of such numbers: the range
            `(0, factor)` or `(lower, upper)` of the probability of a blur.
            With `(1, 1)` every image is blurred. It cannot be tuned: whether
            an image is blurred has no gradient.
        kernel_size: Odd integer, or a pair of them for width and height, in
            pixels.
        sigma: Float between 0 and 1, or an `stn.Float` whose range lies
            there: the strength, in pixels. 0 leaves images unchanged. A pair
            `(lower, upper)` draws from `lower` on. Below about 0.25 a blur is
            none, nor has it a gradient: start a hyperparameter above.
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
        `(batch_size, height, width, channels)` or
        `(batch_size, channels, height, width)`, or a single image.

    Output shape:
        Same as input.

    Raises:
        ValueError: If `factor` or `sigma` is out of range, `factor` is a
            hyperparameter, or a side of the kernel is even.

    Example:

    >>> import keras_stn as stn
    >>> blur = stn.Float("blur", 0.0, 1.0, default=0.5)
    >>> layer = stn.layers.RandomGaussianBlur(sigma=blur, value_range=(0, 1))
    """

    config_names = ("factor", "kernel_size", "sigma")

    def __init__(
        self,
        factor=1.0,
        kernel_size=3,
        sigma=1.0,
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
        if isinstance(hyperparameter.get(factor), HyperParameter):
            raise ValueError(
                "`factor` cannot be tuned; tune `sigma`. Received: "
                f"factor={factor}"
            )
        self.factor = check_factor("factor", factor, 0.0, 1.0)
        self.kernel_size = check_kernel_size(kernel_size)
        self.sigma = self.declare_factor("sigma", sigma, 0.0, 1.0)

    def to_bounds(self, strength):
        return 0.0, strength

    def get_random_transformation(self, images, hyperparameters=None):
        lower, upper = self.bounds(self.factor, images, hyperparameters)
        probability = self.uniform(images, lower, upper)
        is_blurred = self.uniform(images, 0.0, 1.0) < probability
        share = random.uniform(
            (ops.shape(images)[0], 2),
            dtype=images.dtype,
            seed=self.seed_generator,
        )
        lower, upper = self.bounds(self.sigma, images, hyperparameters)
        sigma = lower + (upper - lower) * ops.reshape(share, (-1, 2, 1, 1))
        return {
            "is_blurred": is_blurred,
            "width_sigma": sigma[:, :1],
            "height_sigma": sigma[:, 1:],
        }

    def transform_images(self, images, transformation):
        low, high = self.levels(images)
        row_axis, column_axis = (axis + 4 for axis in self.spatial_axes)
        width, height = self.kernel_size
        blurred = blur_axis(
            images, transformation["width_sigma"], width, column_axis
        )
        blurred = blur_axis(
            blurred, transformation["height_sigma"], height, row_axis
        )
        images = ops.where(transformation["is_blurred"], blurred, images)
        return ops.minimum(ops.maximum(images, low), high)


def check_kernel_size(kernel_size):
    """Returns the pair of width and height, or raises a sentence."""
    is_pair = isinstance(kernel_size, tuple | list) and len(kernel_size) == 2
    sides = kernel_size if is_pair else (kernel_size, kernel_size)
    if not all(is_number(s, int) and s > 0 and s % 2 == 1 for s in sides):
        raise ValueError(
            "`kernel_size` must be an odd positive integer or a pair of them. "
            f"Received: kernel_size={kernel_size!r}"
        )
    return tuple(int(side) for side in sides)


def blur_axis(images, sigma, size, axis):
    """Mixes every pixel with its neighbours along one axis.

    Args:
        images: Float tensor of rank 4.
        sigma: Tensor of shape `(batch_size, 1, 1, 1)`, the width of the
            Gaussian kernel in pixels.
        size: Odd integer, the number of the kernel's pixels.
        axis: Integer, 1 to 3.

    Returns:
        Tensor of the shape of `images`.
    """
    reach = size // 2
    # As in Keras; no division by 0.
    sigma = sigma + 1e-6
    weights = [ops.exp(-0.5 * (i / sigma) ** 2) for i in range(1, reach + 1)]
    total = 1 + 2 * sum(weights)
    padding = [(reach, reach) if i == axis else (0, 0) for i in range(4)]
    padded = ops.pad(images, padding)
    length = ops.shape(images)[axis]

    def shifted(offset):
        index = [slice(None)] * 4
        index[axis] = slice(reach + offset, reach + offset + length)
        return padded[tuple(index)]

    # What a pixel gives to its neighbours it takes from its own weight.
    outputs = images
    for i, weight in enumerate(weights, start=1):
        change = shifted(-i) + shifted(i) - 2 * images
        outputs = outputs + weight / total * change
    return outputs
