import keras
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.layers.augmentation.beta import symmetric_beta
from keras_stn.layers.augmentation.mixing_layer import MixingLayer


@keras.saving.register_keras_serializable(package="keras_stn")
class CutMix(MixingLayer):
    """Pastes a box of another image into each image; the strength is tunable.

    In training, a share w is drawn from Beta(α, α) with α between the ends of
    `factor`, and a box of the share `1 - w` of the image comes from a partner.
    The box has the image's proportions and its centre anywhere in the image;
    what sticks out is cut off, and w corrected to the pixels that are left.
    The training loss becomes `w` times the loss with the image's own label
    plus `1 - w` times that with its partner's, so labels may be of any kind.
    Each image has a box and a strength of its own.

    A gradient flows from the mixed labels to the strength, not from the
    image: its pixels belong to one of the two. See `MixUp` for several
    mixing layers, metrics and the losses that can be mixed.

    Args:
        factor: Float from 0 to 1, or a `Float` whose range lies there, the
            upper end of α; or a pair of the two ends. Unlike in
            `keras.layers.CutMix`, α is drawn for each image.
        seed: Integer, the random seed.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor, the images.
        training: Boolean, whether to mix.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, channels)` with
        `data_format="channels_last"`, or
        `(batch_size, channels, height, width)`.

    Output shape:
        Same as input.

    Raises:
        ValueError: If `factor` or its range is not between 0 and 1; in
            training outside of a `SelfTuningModel`, where nothing would mix
            the labels.

    Example:

    >>> import keras_stn as stn
    >>> factor = stn.Float("cut_mix", 0.0, 1.0, default=0.1)
    >>> layer = stn.layers.CutMix(factor)

    Reference:
        [Yun et al., 2019](https://arxiv.org/abs/1905.04899)
    """

    def __init__(self, factor=1.0, seed=None, data_format=None, **kwargs):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        ends = factor if isinstance(factor, list | tuple) else (0.0, factor)
        if len(ends) != 2:
            raise ValueError(
                "`factor` must be a number, a `Float`, or a pair of them. "
                f"Received: factor={factor}"
            )
        self.factor = tuple(
            self.declare_strength("factor", end, 1) for end in ends
        )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def tunable_arguments(self):
        low, high = super().tunable_arguments()
        # A single number stands for the upper end alone.
        return [high] if low.value == 0 else []

    def mix(self, images, others, hyperparameters):
        low, high = (
            self.strength_of(end, images, hyperparameters)
            for end in self.factor
        )
        size = ops.shape(images)[0]
        alpha = low + (high - low) * self._uniform((size,))
        weights = symmetric_beta(alpha, self.seed_generator)
        # The root has no derivative at 0.
        side = ops.sqrt(ops.maximum(1 - weights, 1e-12))
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        areas, masks = [], []
        for axis in axes:
            length = ops.shape(images)[axis]
            inside, share = cut(length, side, self._uniform((size,)))
            shape = [1, 1, 1, 1]
            shape[0], shape[axis] = -1, length
            masks.append(ops.reshape(inside, shape))
            areas.append((ops.mean(ops.cast(inside, "float32"), 1), share))
        (height, soft_height), (width, soft_width) = areas
        soft = soft_height * soft_width
        # The value counts pixels; the gradient is that of the exact box.
        area = height * width + (soft - ops.stop_gradient(soft))
        mask = ops.logical_and(*masks)
        return ops.where(mask, others, images), 1 - area

    def _uniform(self, shape):
        return random.uniform(shape, seed=self.seed_generator)

    def get_config(self):
        return {
            **super().get_config(),
            "factor": [hyperparameter.serialize(end) for end in self.factor],
        }


def cut(length, side, centre):
    """One side of a box in one axis of the images.

    Args:
        length: Integer, the pixels of the axis.
        side: Tensor of shape `(batch_size,)`, the box's share of the axis.
        centre: Tensor of shape `(batch_size,)`, its centre, from 0 to 1.

    Returns:
        Pair of a Boolean tensor of shape `(batch_size, length)`, which pixels
        are inside, and the share of the axis that is left of the box before
        it is rounded to pixels.
    """
    start = ops.clip(centre - side / 2, 0, 1)
    end = ops.clip(centre + side / 2, 0, 1)
    pixels = ops.arange(length, dtype="float32") + 0.5
    pixels = ops.expand_dims(pixels / ops.cast(length, "float32"), 0)
    inside = ops.logical_and(
        pixels >= ops.expand_dims(start, 1), pixels < ops.expand_dims(end, 1)
    )
    return inside, end - start
