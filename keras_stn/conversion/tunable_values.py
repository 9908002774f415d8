"""Which numbers among a Keras layer's arguments may be tuned."""

import math
from typing import NamedTuple

import keras

from keras_stn import layers as tuned_layers
from keras_stn import regularizers as tuned_regularizers
from keras_stn.hyperparameters.float import Float

RATE_LIMIT = 0.9
# A strength's range reaches so many times up and down from its value.
STRENGTH_FACTOR = 1e3
# Where the value is 0, which a range of orders of magnitude has not.
STRENGTH_RANGE = (1e-7, 1e-1)

# How the pair of bounds that Keras keeps depends on a strength s: from -s to
# s, from 0 to s, s on both sides of 1, and s/2 on both sides of 1/2.
AROUND_0, FROM_0, AROUND_1, AROUND_HALF = range(4)

# Keras's layers with strengths that layers of the same name here can tune: the
# arguments, each with the end of its range and the form of its bounds.
STRENGTHS = {
    keras.layers.Dropout: {"rate": (RATE_LIMIT, None)},
    keras.layers.SpatialDropout1D: {"rate": (RATE_LIMIT, None)},
    keras.layers.SpatialDropout2D: {"rate": (RATE_LIMIT, None)},
    keras.layers.SpatialDropout3D: {"rate": (RATE_LIMIT, None)},
    keras.layers.AlphaDropout: {"rate": (RATE_LIMIT, None)},
    keras.layers.GaussianDropout: {"rate": (RATE_LIMIT, None)},
    keras.layers.GaussianNoise: {"stddev": (1.0, None)},
    keras.layers.RandomBrightness: {"factor": (0.5, AROUND_0)},
    keras.layers.RandomColorJitter: {
        "brightness_factor": (0.5, AROUND_0),
        "contrast_factor": (0.5, AROUND_1),
        "saturation_factor": (0.5, AROUND_HALF),
        "hue_factor": (0.5, FROM_0),
    },
    keras.layers.RandomContrast: {"factor": (0.5, AROUND_1)},
    keras.layers.RandomGaussianBlur: {"sigma": (1.0, FROM_0)},
    keras.layers.RandomHue: {"factor": (0.5, FROM_0)},
    keras.layers.RandomRotation: {"factor": (0.25, AROUND_0)},
    keras.layers.RandomSaturation: {"factor": (0.5, AROUND_HALF)},
    keras.layers.RandomShear: {
        "x_factor": (0.5, AROUND_0),
        "y_factor": (0.5, AROUND_0),
    },
    keras.layers.RandomTranslation: {
        "height_factor": (0.5, AROUND_0),
        "width_factor": (0.5, AROUND_0),
    },
    keras.layers.RandomZoom: {
        "height_factor": (0.5, AROUND_0),
        "width_factor": (0.5, AROUND_0),
    },
}

# Layers with weights of which rates may be tuned where the weights respond.
RATES = {
    keras.layers.GRU: ("dropout", "recurrent_dropout"),
    keras.layers.GRUCell: ("dropout", "recurrent_dropout"),
    keras.layers.LSTM: ("dropout", "recurrent_dropout"),
    keras.layers.LSTMCell: ("dropout", "recurrent_dropout"),
    keras.layers.SimpleRNN: ("dropout", "recurrent_dropout"),
    keras.layers.SimpleRNNCell: ("dropout", "recurrent_dropout"),
    keras.layers.MultiHeadAttention: ("dropout",),
    keras.layers.GroupQueryAttention: ("dropout",),
}

# The argument that a layer with one strength is known for.
MAIN_ARGUMENTS = ("rate", "stddev", "factor")

PENALTIES = {
    keras.regularizers.L1: tuned_regularizers.L1,
    keras.regularizers.L2: tuned_regularizers.L2,
    keras.regularizers.L1L2: tuned_regularizers.L1L2,
}


class TunableValue(NamedTuple):
    """A number among a layer's arguments.

    Attributes:
        argument: String, the argument.
        part: String, the strength's name in a regularizer, or `None`.
        value: Float, what the layer has.
        low: Float, the lower end of the range to tune it in.
        high: Float, the upper end.
        is_used: Boolean, whether the layer does something by it, so that it
            is tuned without being asked for.
    """

    argument: str
    part: str | None
    value: float
    low: float
    high: float
    is_used: bool

    @property
    def key(self):
        """Where the value stands among the layer's arguments."""
        return self.argument, self.part

    @property
    def suffix(self):
        """What follows the layer's name in the hyperparameter's name."""
        if self.argument in MAIN_ARGUMENTS:
            return ""
        if self.part is None:
            return "_" + self.argument.removesuffix("_factor")
        return f"_{self.argument.removesuffix('_regularizer')}_{self.part}"

    def declare(self, name, ends=None):
        """The hyperparameter that tunes it.

        Args:
            name: String, its name.
            ends: Pair of numbers, the range; or `None` for the usual one.

        Returns:
            A `Float`.
        """
        low, high = ends or (self.low, self.high)
        is_penalty = self.part is not None
        return Float(
            name,
            low,
            high,
            default=self.value if self.value or not is_penalty else None,
            sampling="log" if is_penalty else "linear",
            per_example=not is_penalty,
        )


def find_values(layer, responds):
    """The numbers of a layer that may be tuned.

    Args:
        layer: A layer.
        responds: Boolean, whether its weights will respond.

    Returns:
        List of `TunableValue`.
    """
    if not is_keras(layer) or isinstance(layer, keras.layers.Lambda):
        return []
    kind, config = type(layer), plain_config(layer)
    values = []
    strengths = STRENGTHS.get(kind, {})
    if not has_known_saturation(config, strengths):
        strengths = {}
    for argument, (limit, form) in strengths.items():
        value = to_strength(config[argument], form)
        if value is not None:
            ends = range_around(value, limit)
            values.append(TunableValue(argument, None, value, *ends, True))
    for argument in RATES.get(kind, ()) if responds else ():
        value = config[argument]
        ends = range_around(value, RATE_LIMIT)
        values.append(TunableValue(argument, None, value, *ends, value > 0))
    return [*values, *find_penalties(config)]


def has_known_saturation(config, strengths):
    """Whether the layer here of the same name takes the bounds at all."""
    factors = [
        config[argument]
        for argument, (_, form) in strengths.items()
        if form == AROUND_HALF and config[argument] is not None
    ]
    return all(low >= 0 for low, _ in factors)


def plain_config(layer):
    """A layer's configuration, with strengths as the layers here take them."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.RandomShear):
        # Keras writes bounds there that it does not take back.
        for argument in STRENGTHS[keras.layers.RandomShear]:
            config[argument] = config[argument][1]
    if isinstance(layer, keras.layers.RandomColorJitter):
        for argument in STRENGTHS[keras.layers.RandomColorJitter]:
            name = "random_" + argument.removesuffix("_factor")
            jitter = getattr(layer, name)
            config[argument] = None if jitter is None else jitter.factor
    return config


def is_keras(layer):
    """Whether the layer's class is one of `keras.layers`."""
    return getattr(keras.layers, type(layer).__name__, None) is type(layer)


def find_penalties(config):
    values = []
    for argument, regularizer in find_regularizers(config).items():
        strengths = regularizer.get_config()
        for part, value in strengths.items():
            low, high = STRENGTH_RANGE
            if value > 0:
                low, high = value / STRENGTH_FACTOR, value * STRENGTH_FACTOR
            values.append(
                TunableValue(argument, part, value, low, high, value > 0)
            )
    return values


def find_regularizers(config):
    """The L1 and L2 penalties in a configuration, by their arguments."""
    regularizers = {
        argument: keras.regularizers.get(value)
        for argument, value in config.items()
        if argument.endswith("_regularizer")
    }
    return {
        argument: regularizer
        for argument, regularizer in regularizers.items()
        if type(regularizer) in PENALTIES
    }


def range_around(value, limit):
    """From 0 to `limit`, or where the value is near it or beyond, farther."""
    return 0.0, limit if value <= 0.9 * limit else min(1.0, 2 * value)


def to_strength(factor, form):
    """The strength that a layer's number or pair of numbers stands for.

    Args:
        factor: Number, pair of numbers, or `None`.
        form: How bounds depend on the strength.

    Returns:
        Number, or `None` where there is no such strength.
    """
    if factor is None:
        return None
    if not isinstance(factor, tuple | list):
        return abs(float(factor))
    low, high = map(float, factor)
    if form == AROUND_1 and low == 0:
        # A number is meant for both sides; Keras 3.15 makes one of it.
        low = high
    strength = 2 * high - 1 if form == AROUND_HALF else high
    expected = {
        AROUND_0: -strength,
        FROM_0: 0,
        AROUND_1: strength,
        AROUND_HALF: (1 - strength) / 2,
    }[form]
    is_same = math.isclose(low, expected, abs_tol=1e-9) and strength >= 0
    return strength if is_same else None


def tuned_config(layer, declarations):
    """A layer's configuration with hyperparameters in it.

    Args:
        layer: A layer of Keras.
        declarations: Dictionary from pairs `(argument, part)` to
            hyperparameters.

    Returns:
        Dictionary of arguments.
    """
    config = plain_config(layer)
    for argument, regularizer in find_regularizers(config).items():
        strengths = {
            part: declarations.get((argument, part), value)
            for part, value in regularizer.get_config().items()
        }
        if any((argument, part) in declarations for part in strengths):
            config[argument] = PENALTIES[type(regularizer)](**strengths)
    for (argument, part), declaration in declarations.items():
        if part is None:
            config[argument] = declaration
    return config


def tuned_class(layer):
    """The class here that tunes the strengths of one of Keras's."""
    return getattr(tuned_layers, type(layer).__name__)
