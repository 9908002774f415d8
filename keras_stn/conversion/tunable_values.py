"""Which numbers among a Keras layer's arguments may be tuned."""

from typing import NamedTuple

import keras

from keras_stn import layers as tuned_layers
from keras_stn import regularizers as tuned_regularizers
from keras_stn.conversion.strengths import RATE_LIMIT
from keras_stn.conversion.strengths import find_strengths
from keras_stn.conversion.strengths import is_plain
from keras_stn.conversion.strengths import plain_config
from keras_stn.hyperparameters.float import Float

# A strength's range reaches so many times up and down from its value.
STRENGTH_FACTOR = 1e3
# Where the value is 0, which a range of orders of magnitude has not.
STRENGTH_RANGE = (1e-7, 1e-1)

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


def find_values(layer, responds, is_frozen=False):
    """The numbers of a layer that may be tuned.

    Args:
        layer: A layer.
        responds: Boolean, whether its weights will respond.
        is_frozen: Boolean, whether its weights are not trained.

    Returns:
        List of `TunableValue`.
    """
    if not is_plain(layer):
        return []
    config = plain_config(layer)
    values = [
        TunableValue(argument, None, value, *range_around(value, limit), True)
        for argument, (value, limit) in find_strengths(layer, config).items()
        if value is not None
    ]
    for argument in RATES.get(type(layer), ()) if responds else ():
        value = config[argument]
        ends = range_around(value, RATE_LIMIT)
        values.append(TunableValue(argument, None, value, *ends, value > 0))
    return [*values, *find_penalties(config, is_frozen)]


def find_penalties(config, is_frozen):
    values = []
    for argument, regularizer in find_regularizers(config).items():
        if is_frozen and argument != "activity_regularizer":
            # What it penalizes does not change.
            continue
        for part, value in regularizer.get_config().items():
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
