from keras import ops

from keras_stn.layers.augmentation.base_augmentation import BaseAugmentation
from keras_stn.layers.augmentation.resampling import FILL_MODES
from keras_stn.layers.augmentation.resampling import INTERPOLATIONS


class GeometricAugmentation(BaseAugmentation):
    """Base of the augmentations that move the pixels of images.

    A subclass moves them with `move_pixels`, whatever the data format.

    Args:
        fill_mode: What lies outside of the images: `"reflect"`, `"wrap"`,
            `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: Float, what lies there if `fill_mode` is `"constant"`.
        **kwargs: Arguments of `BaseAugmentation`.

    Raises:
        ValueError: If `fill_mode` or `interpolation` is unknown.
    """

    def __init__(
        self,
        fill_mode="reflect",
        interpolation="bilinear",
        fill_value=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if fill_mode not in FILL_MODES:
            raise ValueError(
                f"`fill_mode` must be one of {FILL_MODES}. Received: "
                f"fill_mode={fill_mode!r}"
            )
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"`interpolation` must be one of {INTERPOLATIONS}. Received: "
                f"interpolation={interpolation!r}"
            )
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value

    @property
    def sampling(self):
        """How to read between and beyond pixels, as keyword arguments."""
        return {
            "interpolation": self.interpolation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }

    def transform_images(self, images, transformation):
        is_channels_first = self.data_format == "channels_first"
        if is_channels_first:
            images = ops.transpose(images, (0, 2, 3, 1))
        images = self.move_pixels(images, transformation)
        if is_channels_first:
            images = ops.transpose(images, (0, 3, 1, 2))
        return images

    def move_pixels(self, images, transformation):
        """Does to the images what was drawn.

        Args:
            images: Float tensor of shape
                `(batch_size, height, width, channels)`.
            transformation: What `get_random_transformation` returned.

        Returns:
            Tensor of the shape of `images`.
        """
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), **self.sampling}
