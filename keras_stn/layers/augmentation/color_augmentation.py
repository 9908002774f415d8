from keras import ops

from keras_stn.layers.augmentation.base_augmentation import (
    ValueRangeAugmentation,
)


class ColorAugmentation(ValueRangeAugmentation):
    """Base of the augmentations that treat every pixel by its colour.

    A subclass works on planes, a tensor for each channel, which is several
    times faster than on images with an innermost axis of three.
    """

    def transform_images(self, images, transformation):
        axis = self.channel_axis
        planes = ops.split(images, images.shape[axis], axis=axis)
        planes = self.transform_planes(
            planes, self.plane_levels(images), transformation
        )
        return ops.concatenate(planes, axis=axis)

    def transform_planes(self, planes, levels, transformation):
        """Does to the planes what was drawn.

        Args:
            planes: List of tensors of shape `(batch_size, height, width, 1)`
                or `(batch_size, 1, height, width)`, a channel each.
            levels: List of pairs of numbers, black and white of each channel.
            transformation: What `get_random_transformation` returned.

        Returns:
            List of tensors of the shapes of `planes`.
        """
        raise NotImplementedError

    def plane_levels(self, images):
        """Black and white of each channel, as a list of pairs of numbers."""
        low, high = (level.ravel().tolist() for level in self.levels(images))
        num_channels = images.shape[self.channel_axis]
        pairs = list(zip(low, high))
        return pairs * num_channels if len(pairs) == 1 else pairs

    def transform_rgb(self, function, planes, levels, *arguments):
        """Calls a function of colours where black and white are comparable.

        Args:
            function: Callable `function(planes, *arguments, black)`.
            planes: List of tensors.
            levels: List of pairs of numbers.
            *arguments: Further arguments of the function.

        Returns:
            List of tensors.

        Raises:
            ValueError: If there are not three channels.
        """
        if len(planes) != 3:
            raise ValueError(
                f"The layer '{self.name}' ({type(self).__name__}) needs RGB "
                "images of three channels; leave it out for others. Received: "
                f"data_format={self.data_format!r}, {len(planes)} channels"
            )
        if len(set(levels)) == 1:
            return function(planes, *arguments, levels[0][0])
        # Channels that were normalized each by itself.
        planes = [
            (plane - low) / (high - low)
            for plane, (low, high) in zip(planes, levels)
        ]
        return [
            plane * (high - low) + low
            for plane, (low, high) in zip(
                function(planes, *arguments, 0.0), levels
            )
        ]
