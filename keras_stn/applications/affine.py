"""Rotation, shear, zoom and translation of the deeper networks."""

from keras_stn.hyperparameters import Float
from keras_stn.layers.augmentation.random_rotation import RandomRotation
from keras_stn.layers.augmentation.random_shear import RandomShear
from keras_stn.layers.augmentation.random_translation import RandomTranslation
from keras_stn.layers.augmentation.random_zoom import RandomZoom


def affine_strengths():
    """Rotation, shear, zoom and translation as in Bae and Grosse.

    Their 5 of 45 degrees are given as shares of a turn to the rotation, and
    as a tangent to the shear.
    """
    return [
        Float("rotation", 0.0, 45 / 360, default=5 / 360, scale=1.0),
        Float("shear", 0.0, 1.0, default=0.0875, scale=1.0),
        Float("zoom", 0.0, 0.5, default=0.05, scale=1.0),
        Float("translation", 0.0, 0.5, default=0.05, scale=1.0),
    ]


def affine_layers(parts):
    """The four layers, each with the strength of its name."""
    return [
        RandomRotation(parts["rotation"], name="rotation"),
        RandomShear(parts["shear"], parts["shear"], name="shear"),
        RandomZoom(parts["zoom"], name="zoom"),
        RandomTranslation(
            parts["translation"], parts["translation"], name="translation"
        ),
    ]
