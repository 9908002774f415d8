"""The augmentation of the deeper networks: geometry as well as colour."""

from keras_stn.applications.parts import CIFAR10_DEVIATION
from keras_stn.applications.parts import CIFAR10_MEAN
from keras_stn.applications.parts import color_strengths
from keras_stn.applications.parts import delta_cutout_strengths
from keras_stn.applications.parts import dropout_rates
from keras_stn.applications.parts import normalization
from keras_stn.hyperparameters import Float
from keras_stn.layers.augmentation.random_rotation import RandomRotation
from keras_stn.layers.augmentation.random_shear import RandomShear
from keras_stn.layers.augmentation.random_translation import RandomTranslation
from keras_stn.layers.augmentation.random_zoom import RandomZoom


def affine_augmentation_strengths(rates):
    """The strengths of the augmentation and of dropouts, in Bae and Grosse.

    Their 5 of 45 degrees are given as shares of a turn to the rotation, and
    as a tangent to the shear.

    Args:
        rates: List of the names of the dropouts behind the input's.
    """
    return [
        Float("rotation", 0.0, 45 / 360, default=5 / 360, scale=1.0),
        Float("shear", 0.0, 1.0, default=0.0875, scale=1.0),
        Float("zoom", 0.0, 0.5, default=0.05, scale=1.0),
        Float("translation", 0.0, 0.5, default=0.05, scale=1.0),
        *color_strengths(scale=1.0),
        *delta_cutout_strengths(),
        *dropout_rates(["dropout_input", *rates], 0.95, scale=1.0),
    ]


def affine_augmentation(parts):
    """From pixels to the normalized, augmented input."""
    return [
        RandomRotation(parts["rotation"], name="rotation"),
        RandomShear(parts["shear"], parts["shear"], name="shear"),
        RandomZoom(parts["zoom"], name="zoom"),
        RandomTranslation(
            parts["translation"], parts["translation"], name="translation"
        ),
        parts.color_jitter(),
        normalization(CIFAR10_MEAN, CIFAR10_DEVIATION),
        parts.cutout(),
        parts.input_dropout(),
    ]
