"""What the augmentation layers share: images, strengths and randomness."""

import keras
import numpy as np
from keras import ops

from keras_stn import random
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_range
from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.ordinary import at_values
from keras_stn.layers.ordinary import only_in_training
from keras_stn.layers.ordinary import ordinary


class BaseAugmentation(HyperLayer):
    """Base of the layers that change images at random while training.

    A subclass declares its strengths with `declare_factor`, draws with
    `get_random_transformation` and applies what was drawn with
    `transform_images`. The two are apart so that a draw can be looked at,
    replayed or replaced. Both work on a batch in float32 or float64, whatever
    the dtype policy.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. If `None`,
            Keras's setting.
        seed: Integer, the random seed.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        `(batch_size, height, width, channels)` or
        `(batch_size, channels, height, width)`, or a single image.

    Output shape:
        Same as input.

    Example:

    ```python
    class RandomShade(BaseAugmentation):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = self.declare_factor("factor", factor, 0.0, 1.0)

        def get_random_transformation(self, images, hyperparameters=None):
            lower, upper = self.bounds(self.factor, images, hyperparameters)
            return {"shade": self.uniform(images, lower, upper)}

        def transform_images(self, images, transformation):
            return images * (1 - transformation["shade"])
    ```
    """

    # The arguments of a subclass that go into its configuration.
    config_names = ()
    # Whether it takes images alone, and then a single one as well.
    images_only = True
    # Whether Keras's layer of the same name means something else by a number,
    # so that it must be given both bounds.
    keras_needs_bounds = False

    def __init__(self, data_format=None, seed=None, **kwargs):
        # Half precision would round pixels of 0 to 255 before anything is
        # done to them.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                "`data_format` must be 'channels_last' or 'channels_first'. "
                f"Received: data_format={data_format!r}"
            )
        self.data_format = data_format or keras.config.image_data_format()
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        # Nothing depends on the shape of the input.
        self.built = True

    def call(self, inputs, training=False, hyperparameters=None):
        """Changes the images while training, and at no other time.

        Args:
            inputs: Tensor, a batch of images or a single image.
            training: Boolean, whether to change them.
            hyperparameters: A `Sample`, which the model around the layer
                supplies. Without it strengths are their starting values.

        Returns:
            Tensor of the shape of `inputs`, in the layer's compute dtype.
        """
        rank = len(inputs.shape)
        if self.images_only and rank not in (3, 4):
            raise ValueError(
                f"The layer '{self.name}' takes a batch of images, of rank 4, "
                "or a single image, of rank 3. Received: "
                f"inputs.shape={tuple(inputs.shape)}"
            )
        if not training:
            return ops.cast(inputs, self.compute_dtype)
        is_single = self.images_only and rank == 3
        is_double = self.compute_dtype == "float64"
        images = ops.cast(inputs, "float64" if is_double else "float32")
        if is_single:
            images = ops.expand_dims(images, 0)
        transformation = self.get_random_transformation(
            images, self.received(hyperparameters)
        )
        images = self.transform_images(images, transformation)
        if is_single:
            images = ops.squeeze(images, 0)
        return ops.cast(images, self.compute_dtype)

    def get_random_transformation(self, images, hyperparameters=None):
        """Draws what to do to each image.

        Args:
            images: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Dictionary of tensors with an entry for every image.
        """
        raise NotImplementedError

    def transform_images(self, images, transformation):
        """Does to the images what was drawn.

        Args:
            images: Float tensor of shape `(batch_size, ...)`.
            transformation: What `get_random_transformation` returned.

        Returns:
            Tensor of the shape of `images`.
        """
        raise NotImplementedError

    def declare_factor(self, argument, value, low, high):
        """Registers a strength: a number, a pair, or a hyperparameter.

        Args:
            argument: String, the name of the constructor's argument.
            value: What was given for it.
            low: Float, the smallest number that is allowed in a pair.
            high: Float, the largest number that is allowed. A single number
                and a hyperparameter lie between 0 and `high`.

        Returns:
            The number, the pair in ascending order, or the hyperparameter.

        Raises:
            ValueError: If `value` is none of these or out of range.
        """
        value = hyperparameter.get(value)
        if isinstance(value, HyperParameter):
            check_range(argument, value, max(low, 0.0), high)
        else:
            value = check_factor(argument, value, low, high)
        return self.declare(value, argument, high)

    def bounds(self, factor, images, hyperparameters):
        """Between which two numbers to draw, for each image.

        Args:
            factor: What `declare_factor` returned.
            images: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Pair of numbers, or of tensors that broadcast against `images`.
        """
        if isinstance(factor, tuple):
            return factor
        strength = self.resolve(
            factor, images, hyperparameters, dtype=images.dtype
        )
        return self.to_bounds(strength)

    def to_bounds(self, strength):
        """The pair of bounds that one number stands for."""
        return -strength, strength

    def uniform(self, images, lower, upper):
        """One number for each image, drawn so that gradients reach the bounds.

        Args:
            images: Tensor of shape `(batch_size, ...)`.
            lower: Number, or tensor that broadcasts against `images`.
            upper: Number, or tensor that broadcasts against `images`.

        Returns:
            Tensor of shape `(batch_size, 1, ...)`.
        """
        shape = (ops.shape(images)[0],) + (1,) * (len(images.shape) - 1)
        share = random.uniform(
            shape, dtype=images.dtype, seed=self.seed_generator
        )
        return lower + (upper - lower) * share

    @property
    def channel_axis(self):
        """The axis of the channels, counted from the end."""
        return -1 if self.data_format == "channels_last" else -3

    @property
    def spatial_axes(self):
        """The axes of height and width, counted from the end."""
        return (-3, -2) if self.data_format == "channels_last" else (-2, -1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs, *args, **kwargs):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def to_keras(self, values):
        """Keras's layer of the same name, or one that passes images on.

        Args:
            values: Dictionary from the names of hyperparameters to numbers.

        Returns:
            A Keras layer, unbuilt.
        """
        keras_class = getattr(keras.layers, type(self).__name__, None)
        if keras_class is None:
            return only_in_training(self)
        return ordinary(self, values, keras_class, self.keras_factors(values))

    def keras_factors(self, values):
        """The strengths as Keras's layer of the same name takes them.

        Args:
            values: Dictionary from the names of hyperparameters to numbers.

        Returns:
            Dictionary of arguments.
        """
        config = self.get_config()
        factors = {
            name: at_values(config[name], values) for name in self.config_names
        }
        if self.keras_needs_bounds:
            factors = {
                name: value
                if isinstance(value, tuple | list)
                else self.to_bounds(value)
                for name, value in factors.items()
            }
        return factors

    def get_config(self):
        config = {name: getattr(self, name) for name in self.config_names}
        return {
            **super().get_config(),
            **{k: hyperparameter.serialize(v) for k, v in config.items()},
            "data_format": self.data_format,
            "seed": self.seed,
        }


class ValueRangeAugmentation(BaseAugmentation):
    """Base of the augmentations that need to know black and white.

    Args:
        value_range: Pair `(low, high)` of the pixel values of black and
            white. Each is a number, or a sequence of one number a channel
            where channels were normalized differently.
        **kwargs: Arguments of `BaseAugmentation`.
    """

    def __init__(self, value_range=(0, 255), **kwargs):
        super().__init__(**kwargs)
        low, high = check_value_range(value_range)
        self.value_range = (low, high)

    def levels(self, images):
        """Black and white as arrays that broadcast against `images`.

        Args:
            images: Tensor of shape `(batch_size, ...)`.

        Returns:
            Pair of arrays of shape `(1, 1, 1)`, or one a channel.
        """
        shape = (-1, 1, 1) if self.channel_axis == -3 else (1, 1, -1)
        dtype = keras.backend.standardize_dtype(images.dtype)
        levels = np.array(self.value_range, dtype).reshape(2, -1)
        if levels.shape[1] not in (1, images.shape[self.channel_axis]):
            raise ValueError(
                f"The `value_range` of the layer '{self.name}' has a number "
                "for each channel, but the images have another number of "
                f"channels. Received: value_range={self.value_range}, "
                f"images.shape={tuple(images.shape)}"
            )
        return tuple(level.reshape(shape) for level in levels)

    def get_config(self):
        return {**super().get_config(), "value_range": self.value_range}

    def to_keras(self, values):
        # Keras knows no range of its own for each channel.
        if any(isinstance(end, list) for end in self.value_range):
            return only_in_training(self)
        return super().to_keras(values)


def check_factor(argument, value, low, high):
    """Returns a number, or a pair in ascending order, or raises a sentence."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    numbers = value if is_pair else [value]
    least = low if is_pair else max(low, 0.0)
    if not all(is_number(v, float) and least <= v <= high for v in numbers):
        raise ValueError(
            f"`{argument}` must be a number between {max(low, 0.0):g} and "
            f"{high:g}, a pair of numbers between {low:g} and {high:g}, or "
            f"an `stn.Float`. Received: {argument}={value!r}"
        )
    return tuple(sorted(value)) if is_pair else value


def check_value_range(value_range):
    """Returns the pair with plain numbers, or raises a sentence."""
    try:
        low, high = (np.asarray(end, float) for end in value_range)
        valid = low.ndim <= 1 and np.all(low < high)
        valid = valid and low.shape == high.shape
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            "`value_range` must be a pair (low, high) of two numbers, or of "
            "two sequences with one number a channel, with low < high. "
            f"Received: value_range={value_range!r}"
        )
    return low.tolist(), high.tolist()
