import keras
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.layers.augmentation.color import adjust_colors
from keras_stn.layers.augmentation.color_augmentation import ColorAugmentation
from keras_stn.layers.augmentation.random_brightness import RandomBrightness
from keras_stn.layers.augmentation.random_contrast import RandomContrast
from keras_stn.layers.augmentation.random_hue import RandomHue
from keras_stn.layers.augmentation.random_saturation import RandomSaturation

LAYERS = {
    "brightness": RandomBrightness,
    "contrast": RandomContrast,
    "saturation": RandomSaturation,
    "hue": RandomHue,
}


@keras.saving.register_keras_serializable(package="keras_stn")
class RandomColorJitter(ColorAugmentation):
    """Brightness, contrast, saturation and hue at random, all four tunable.

    Applies `RandomBrightness`, `RandomContrast`, `RandomSaturation` and
    `RandomHue`, those that get a factor, one after the other.

    Args:
        value_range: Pair `(low, high)` of the values of black and white, each
            a number or a sequence of one number a channel.
        brightness_factor: Strength of `RandomBrightness`: a number, a pair,
            an `stn.Float`, or `None` to leave it out.
        contrast_factor: Strength of `RandomContrast`, likewise.
        saturation_factor: Strength of `RandomSaturation`, likewise.
        hue_factor: Strength of `RandomHue`, likewise.
        seed: Integer, the random seed.
        data_format: `"channels_last"` or `"channels_first"`. If `None`,
            Keras's setting.
        random_order: Boolean, whether every image gets them in an order of
            its own. It costs as many times more as there are factors.

    Call arguments:
        inputs: Tensor, a batch of images or a single image.
        training: Boolean, whether to change the images.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, height, width, 3)` or `(batch_size, 3, height, width)`,
        or a single image. Without saturation and hue any number of channels.

    Output shape:
        Same as input.

    Raises:
        ValueError: If a factor is out of range, or the images have not three
            channels.

    Example:

    >>> import keras_stn as stn
    >>> layer = stn.layers.RandomColorJitter(
    ...     value_range=(0, 1),
    ...     brightness_factor=stn.Float("brightness", 0.0, 1.0, default=0.05),
    ...     hue_factor=0.1,
    ... )
    """

    def __init__(
        self,
        value_range=(0, 255),
        brightness_factor=None,
        contrast_factor=None,
        saturation_factor=None,
        hue_factor=None,
        seed=None,
        data_format=None,
        random_order=False,
        **kwargs,
    ):
        super().__init__(
            value_range=value_range,
            data_format=data_format,
            seed=seed,
            **kwargs,
        )
        factors = {
            "brightness": brightness_factor,
            "contrast": contrast_factor,
            "saturation": saturation_factor,
            "hue": hue_factor,
        }
        self.random_order = random_order
        self.jitters = {
            name: LAYERS[name](
                factor,
                value_range=value_range,
                data_format=data_format,
                # One seed for all would couple what they draw.
                seed=None if seed is None else seed + i,
                name=f"{self.name}_{name}",
                dtype=self.dtype_policy,
            )
            for i, (name, factor) in enumerate(factors.items())
            if factor is not None
        }

    def tunable_arguments(self):
        return [
            argument.of(f"{name}_factor")
            for name, jitter in self.jitters.items()
            for argument in jitter.tunable_arguments()
        ]

    def get_random_transformation(self, images, hyperparameters=None):
        transformation = {
            name: jitter.get_random_transformation(images, hyperparameters)
            for name, jitter in self.jitters.items()
        }
        if self.random_order and len(self.jitters) > 1:
            shape = (ops.shape(images)[0], len(self.jitters))
            ranks = random.uniform(shape, seed=self.seed_generator)
            transformation["order"] = ops.argsort(ranks, axis=1)
        return transformation

    def transform_planes(self, planes, levels, transformation):
        if "order" in transformation:
            return self._transform_in_order(planes, levels, transformation)
        # Saturation and hue can share most of their work.
        both = {"saturation", "hue"} <= self.jitters.keys()
        for name, jitter in self.jitters.items():
            if both and name == "saturation":
                planes = self.transform_rgb(
                    adjust_colors,
                    planes,
                    levels,
                    transformation["saturation"]["factor"],
                    transformation["hue"]["turns"],
                )
            elif not (both and name == "hue"):
                planes = jitter.transform_planes(
                    planes, levels, transformation[name]
                )
        return planes

    def _transform_in_order(self, planes, levels, transformation):
        for place in range(len(self.jitters)):
            choice = ops.reshape(
                transformation["order"][:, place], (-1, 1, 1, 1)
            )
            before = planes
            for i, (name, jitter) in enumerate(self.jitters.items()):
                after = jitter.transform_planes(
                    before, levels, transformation[name]
                )
                planes = [
                    ops.where(choice == i, new, old)
                    for new, old in zip(after, planes)
                ]
        return planes

    def keras_factors(self, values):
        return {
            f"{name}_factor": jitter.keras_factors(values)["factor"]
            for name, jitter in self.jitters.items()
        }

    def get_config(self):
        factors = {
            f"{name}_factor": hyperparameter.serialize(jitter.factor)
            for name, jitter in self.jitters.items()
        }
        return {
            **super().get_config(),
            **factors,
            "random_order": self.random_order,
        }
