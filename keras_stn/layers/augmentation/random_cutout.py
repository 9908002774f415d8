import math

import keras
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_range
from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.hyperparameters.int import Int
from keras_stn.layers.augmentation.base_augmentation import BaseAugmentation
from keras_stn.relaxation import check_relaxation
from keras_stn.relaxation import relax

# The official implementation cuts [floor(c - L/2), floor(c + L/2)) around the
# pixel c. These are, for every integer L, the pixels whose distance from
# c - 3/4 is less than L/2, and never by less than a quarter of a pixel.
CENTRE = 0.75


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomCutout(BaseAugmentation):
    """Cuts square holes out of images; their number and size may be tuned.

    In training every image gets `holes` squares of `length` pixels a side,
    filled with `fill_value`. Their centres are uniform over the pixels, so
    that squares may overlap and reach over the border. Put the layer behind
    the normalization, where 0 is the mean.

    Args:
        holes: Non-negative integer, or an `stn.Int`: how many squares.
        length: Non-negative integer, or an `stn.Int`: their side, in pixels.
        relaxation: How gradients reach the two integers.
            `"straight_through"` cuts exact squares and takes the gradient of
            soft ones; `"soft"` cuts squares with edges that fade over about
            `temperature` pixels, the last one partly; `"hard"` cuts exact
            squares and has no gradient. Tuning by the best response needs no
            gradient through the augmentation, so the choice matters to
            methods that differentiate the training loss.
        temperature: Positive float, the softness of edges in pixels and of
            the steps between integers.
        fill_value: Float, what the holes are filled with.
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
        ValueError: If `holes` or `length` is no non-negative integer and no
            `stn.Int`, or the number of holes has no upper end.

    Example:

    >>> import keras_stn as stn
    >>> layer = stn.layers.RandomCutout(
    ...     holes=stn.Int("cutout_holes", 0, 4, default=1),
    ...     length=stn.Int("cutout_length", 0, 24, default=4),
    ... )

    Reference:
        - [DeVries and Taylor, 2017](https://arxiv.org/abs/1708.04552)
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.2
    """

    config_names = (
        "holes",
        "length",
        "relaxation",
        "temperature",
        "fill_value",
    )

    def __init__(
        self,
        holes,
        length,
        relaxation="straight_through",
        temperature=0.5,
        fill_value=0.0,
        data_format=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        check_relaxation(relaxation, temperature)
        self.holes = self._declare_count("holes", holes)
        self.length = self._declare_count("length", length)
        self.relaxation = relaxation
        self.temperature = temperature
        self.fill_value = fill_value
        self.max_holes = self.holes
        if isinstance(self.holes, HyperParameter):
            if not math.isfinite(self.holes.high):
                raise ValueError(
                    "`holes` needs an upper end, for which memory is set "
                    "aside; give its `stn.Int` a `max_value`. Received: "
                    f"holes={self.holes}"
                )
            self.max_holes = int(self.holes.high - self.holes.step)

    def _declare_count(self, argument, value):
        value = hyperparameter.get(value)
        if isinstance(value, Int):
            check_range(argument, value, 0, math.inf)
            return self.declare(value, argument, kind=int)
        if not is_number(value, int) or value < 0:
            raise ValueError(
                f"`{argument}` must be a non-negative integer or an "
                f"`stn.Int`. Received: {argument}={value!r}"
            )
        return self.declare(int(value), argument, kind=int)

    def get_random_transformation(self, images, hyperparameters=None):
        shape = ops.shape(images)
        centres = {
            name: random.randint(
                (shape[0], self.max_holes),
                0,
                shape[axis],
                seed=self.seed_generator,
            )
            for name, axis in zip(("rows", "columns"), self.spatial_axes)
        }
        strengths = {
            name: self.resolve(
                value,
                images,
                hyperparameters,
                continuous=True,
                dtype=images.dtype,
            )
            for name, value in (("holes", self.holes), ("length", self.length))
        }
        return {**centres, **strengths}

    def transform_images(self, images, transformation):
        height, width = (ops.shape(images)[axis] for axis in self.spatial_axes)
        rows = ops.cast(transformation["rows"], images.dtype)
        columns = ops.cast(transformation["columns"], images.dtype)
        rows = distances(rows, height, (1, -1, 1))
        columns = distances(columns, width, (1, 1, -1))

        def kept(holes, length, temperature):
            return kept_share(
                rows,
                columns,
                ops.reshape(holes, (-1, 1, 1)),
                ops.reshape(length, (-1, 1, 1)),
                temperature,
            )

        share = relax(
            kept,
            ops.convert_to_tensor(transformation["holes"], images.dtype),
            ops.convert_to_tensor(transformation["length"], images.dtype),
            relaxation=self.relaxation,
            temperature=self.temperature,
        )
        share = ops.expand_dims(share, self.channel_axis)
        if self.fill_value:
            return share * images + (1 - share) * self.fill_value
        return share * images


def distances(centres, size, shape):
    """How far the pixels of one axis are from each hole's centre.

    Args:
        centres: Tensor of shape `(batch_size, num_holes)`, in pixels.
        size: Integer, the number of pixels.
        shape: Shape of the axis among `(batch_size, height, width)`.

    Returns:
        List of a tensor for each hole.
    """
    pixels = ops.reshape(ops.arange(size, dtype=centres.dtype), shape)
    return [
        ops.abs(pixels - ops.reshape(centre, (-1, 1, 1)) + CENTRE)
        for centre in ops.unstack(centres, axis=1)
    ]


def kept_share(rows, columns, holes, length, temperature):
    """How much of every pixel is left by the holes.

    Args:
        rows: List of tensors of shape `(batch_size, height, 1)`, a hole each:
            distances from its centre.
        columns: List of tensors of shape `(batch_size, 1, width)`.
        holes: Tensor of shape `(batch_size or 1, 1, 1)`.
        length: Tensor of shape `(batch_size or 1, 1, 1)`.
        temperature: Float, 0 for sharp edges.

    Returns:
        Tensor of shape `(batch_size, height, width)`, or of ones that
        broadcast to it.
    """
    share = ops.ones_like(length)
    for i, (row, column) in enumerate(zip(rows, columns)):
        # The i-th hole fades in between i and i + 1.
        hole = ops.clip(holes - i, 0, 1) * box(row, length, temperature)
        share = share * (1 - hole * box(column, length, temperature))
    return share


def box(distance, length, temperature):
    """1 within half a `length`, 0 beyond it, and between the two if soft."""
    if temperature == 0:
        return ops.cast(distance < length / 2, distance.dtype)
    # A difference of two sigmoids: no length, no hole.
    upper = ops.sigmoid((length / 2 + distance) / temperature)
    lower = ops.sigmoid((length / 2 - distance) / temperature)
    return ops.maximum(upper + lower - 1, 0)
