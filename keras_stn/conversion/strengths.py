"""The strengths among the arguments of Keras's noise and image layers."""

import math

import keras

RATE_LIMIT = 0.9
# Where nothing limits a value, its range reaches so many times as far.
OPEN_REACH = 4

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


def find_fixed_arguments(layer):
    """The arguments that a layer here could tune at other bounds."""
    if not is_plain(layer):
        return []
    strengths = find_strengths(layer, plain_config(layer))
    return [name for name, (value, _) in strengths.items() if value is None]


def is_untunable(layer):
    """Whether a layer of Keras regularizes as nothing here can tune."""
    if not is_keras(layer) or type(layer) in STRENGTHS:
        return False
    if isinstance(layer, keras.layers.Attention):
        return layer.dropout > 0
    is_image_layer = type(layer).__name__.startswith("Random")
    is_penalty = isinstance(layer, keras.layers.ActivityRegularization)
    return is_image_layer or is_penalty


def is_keras(layer):
    """Whether the layer's class is one of `keras.layers`."""
    return getattr(keras.layers, type(layer).__name__, None) is type(layer)


def is_plain(layer):
    """Whether the layer's configuration says all about it."""
    return is_keras(layer) and not isinstance(layer, keras.layers.Lambda)


def find_strengths(layer, config):
    """The strengths in a configuration, and the ends of their ranges.

    Args:
        layer: A layer.
        config: Its configuration.

    Returns:
        Dictionary from arguments to pairs of a strength, or `None` where the
        bounds are those of none, and the end of its range.
    """
    strengths = STRENGTHS.get(type(layer), {})
    known = has_known_saturation(config, strengths)
    return {
        argument: (to_strength(config[argument], form) if known else None, end)
        for argument, (end, form) in strengths.items()
        if config[argument] is not None
    }


def usual_end(layer, argument):
    """The end of the usual range of an argument of a layer of this package.

    Args:
        layer: A `HyperLayer`.
        argument: A `TunableArgument` of it that holds a number.

    Returns:
        Number. A layer that is called as one of Keras's, or extends such a
        layer, has the range of that one.
    """
    for base in type(layer).__mro__:
        keras_class = getattr(keras.layers, base.__name__, None)
        if argument.name in STRENGTHS.get(keras_class, {}):
            return STRENGTHS[keras_class][argument.name][0]
    if math.isinf(argument.high):
        return OPEN_REACH * (argument.value or 1)
    return RATE_LIMIT if argument.high == 1 else argument.high


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


def to_strength(factor, form):
    """The strength that a layer's number or pair of numbers stands for.

    Args:
        factor: Number or pair of numbers.
        form: How bounds depend on the strength.

    Returns:
        Number, or `None` where there is no such strength.
    """
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
