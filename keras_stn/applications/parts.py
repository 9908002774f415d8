"""What the networks are put together from, tuned or not."""

import keras

from keras_stn.hyperparameters import Float
from keras_stn.hyperparameters import Int
from keras_stn.layers.augmentation.random_color_jitter import RandomColorJitter
from keras_stn.layers.augmentation.random_cutout import RandomCutout
from keras_stn.layers.augmentation.random_input_scale import RandomInputScale
from keras_stn.layers.convolutional.hyper_conv2d import HyperConv2D
from keras_stn.layers.core.hyper_dense import HyperDense
from keras_stn.layers.regularization.dropout import Dropout

# Of the pixels of CIFAR-10's training images, one number a colour, and of
# Fashion-MNIST's, which lie between 0 and 1.
CIFAR10_MEAN = (125.3, 123.0, 113.9)
CIFAR10_DEVIATION = (63.0, 62.1, 66.7)
FASHION_MNIST_MEAN = 0.2860
FASHION_MNIST_DEVIATION = 0.3530


class Parts:
    """Layers of a network that is tuned, or of the same one at fixed values.

    Args:
        hyperparameters: List of `Float` and `Int`, with the values to start
            from.
        values: Dictionary from some of their names to other values, or
            `None`.
        tuned: Boolean. If `False`, values are fixed and layers with weights
            are those of Keras. Or a list of the names of those to tune, the
            others being fixed.
    """

    def __init__(self, hyperparameters, values, tuned):
        values = dict(values or {})
        known = [h.name for h in hyperparameters]
        if isinstance(tuned, bool):
            names = known if tuned else []
        else:
            names = list(tuned)
        for argument, given in (("values", values), ("tuned", names)):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise ValueError(
                    f"`{argument}` names hyperparameters that this network "
                    f"does not have. Choose among {known}. Received: {unknown}"
                )
        self.tuned = bool(names)
        self._values = {
            h.name: h.starting_at(values.get(h.name, h.requested_default))
            if h.name in names
            else values.get(h.name, h.default)
            for h in hyperparameters
        }

    def __getitem__(self, name):
        return self._values[name]

    def conv(self, filters, kernel_size, **kwargs):
        """A convolution that keeps the size of its input."""
        layer = HyperConv2D if self.tuned else keras.layers.Conv2D
        return layer(filters, kernel_size, padding="same", **kwargs)

    def dense(self, units, **kwargs):
        """A dense layer."""
        layer = HyperDense if self.tuned else keras.layers.Dense
        return layer(units, **kwargs)

    def color_jitter(self):
        """The four jitters of colour, on pixels of 0 to 255."""
        return RandomColorJitter(
            value_range=(0, 255),
            brightness_factor=self["brightness"],
            contrast_factor=self["contrast"],
            saturation_factor=self["saturation"],
            hue_factor=self["hue"],
            name="color_jitter",
        )

    def cutout(self):
        """Cutout, to be put behind the normalization."""
        return RandomCutout(
            self["cutout_holes"], self["cutout_length"], name="cutout"
        )

    def input_dropout(self):
        """Dropout of single numbers of the input."""
        return Dropout(self["dropout_input"], name="dropout_input")

    def color_augmentation(self):
        """From pixels to the normalized, augmented input, in MacKay et al."""
        return [
            self.color_jitter(),
            normalization(CIFAR10_MEAN, CIFAR10_DEVIATION),
            self.cutout(),
            self.input_dropout(),
            RandomInputScale(self["input_scale"], name="input_scale"),
        ]


def normalization(mean, deviation):
    """A layer that takes off the mean and divides by the deviation."""
    variance = (
        [d**2 for d in deviation] if isinstance(mean, tuple) else (deviation**2)
    )
    return keras.layers.Normalization(
        mean=mean, variance=variance, name="normalization"
    )


def dropout_rates(names, max_value=0.9, scale=0.5):
    """A rate that starts at 0.05 for each name."""
    return [
        Float(name, 0.0, max_value, default=0.05, scale=scale) for name in names
    ]


def color_strengths(scale=0.5):
    """The strengths of the jitters, as in both papers.

    The papers' hue, between 0 and 0.5 turns from 0.05, is half of Keras's
    factor.
    """
    return [
        Float("brightness", 0.0, 1.0, default=0.05, scale=scale),
        Float("contrast", 0.0, 1.0, default=0.05, scale=scale),
        Float("saturation", 0.0, 1.0, default=0.05, scale=scale),
        Float("hue", 0.0, 1.0, default=0.1, scale=scale),
    ]


def color_augmentation_strengths():
    """The strengths of `Parts.color_augmentation`, with their starts."""
    return [
        *color_strengths(),
        Int("cutout_holes", 0, 4, default=1),
        Int("cutout_length", 0, 24, default=4),
        Float("dropout_input", 0.0, 1.0, default=0.05),
        Float("input_scale", 0.0, 0.3, default=0.05),
    ]


def delta_cutout_strengths():
    """Cutout as in Bae and Grosse: up to 5 holes of 2 to 24 pixels."""
    return [
        Int("cutout_holes", 0, 5, default=1, scale=1.0),
        Int("cutout_length", 2, 24, default=4, scale=1.0),
    ]
