"""Which numbers among a Keras layer's arguments may be tuned."""

from typing import NamedTuple

import keras

from keras_stn import layers as tuned_layers
from keras_stn import regularizers as tuned_regularizers
from keras_stn.conversion.strengths import RATE_LIMIT
from keras_stn.conversion.strengths import find_strengths
from keras_stn.conversion.strengths import is_plain
from keras_stn.conversion.strengths import plain_config
from keras_stn.conversion.strengths import usual_end
from keras_stn.hyperparameters.float import Float
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import is_number
from keras_stn.hyperparameters.int import Int
from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.regularizers.tunable_regularizer import TunableRegularizer

# The usual range of a penalty's strength, whose lower end stands for 0, and
# how many times up and down from its value it reaches at least.
STRENGTH_RANGE = (1e-7, 1e-1)
STRENGTH_FACTOR = 10

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
        value: Number, what the layer has.
        low: Number, the lower end of the range to tune it in.
        high: Number, the upper end.
        is_used: Boolean, whether it is tuned without being asked for: the
            layer does something by it, and is no layer of this package, where
            a number means that it is fixed.
        kind: `float` or `int`, what the layer takes.
    """

    argument: str
    part: str | None
    value: float
    low: float
    high: float
    is_used: bool
    kind: type = float

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

    @property
    def declaration_class(self):
        """The class of the hyperparameter that tunes it."""
        return Int if self.kind is int else Float

    def declare(self, name, ends=None):
        """The hyperparameter that tunes it.

        Args:
            name: String, its name.
            ends: Pair of numbers, the range; or a `Float`, or for an integer
                an `Int`; or `None` for the usual range.

        Returns:
            A `Float`, or for an integer an `Int`.

        Raises:
            ValueError: If the range does not hold the value, or a
                hyperparameter is not of its kind.
        """
        if isinstance(ends, HyperParameter):
            return self._check_kind(name, ends)
        low, high = ends or (self.low, self.high)
        if self.kind is int:
            return Int(name, low, high, default=self.value)
        is_penalty = self.part is not None
        return Float(
            name,
            low,
            high,
            default=self.value,
            sampling="log" if is_penalty else "linear",
            per_example=not is_penalty,
        )

    def _check_kind(self, name, hyperparameter):
        if isinstance(hyperparameter, self.declaration_class):
            return hyperparameter
        what = "an integer" if self.kind is int else "a number, not an integer"
        raise ValueError(
            f"The range of '{name}' must be an "
            f"`stn.{self.declaration_class.__name__}` or a pair (low, high), "
            f"because the value is {what}. "
            f"Received: ranges={{{name!r}: {hyperparameter}}}"
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
    if isinstance(layer, HyperLayer):
        return find_own_values(layer, is_frozen)
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


def find_own_values(layer, is_frozen):
    """The plain numbers of a layer of this package."""
    values = []
    for argument in layer.tunable_arguments():
        value, kind = argument.value, argument.kind
        if is_number(value, kind):
            end = usual_end(layer, argument)
            ends = range_around(value, end, argument.high)
            values.append(
                TunableValue(argument.name, None, value, *ends, False, kind)
            )
    penalties = find_penalties(layer.get_config(), is_frozen)
    return [*values, *(value._replace(is_used=False) for value in penalties)]


def find_penalties(config, is_frozen):
    values = []
    for argument, regularizer in find_regularizers(config).items():
        if is_frozen and argument != "activity_regularizer":
            # What it penalizes does not change.
            continue
        is_own = isinstance(regularizer, TunableRegularizer)
        for part, value in numbers_of(regularizer).items():
            low, high = STRENGTH_RANGE
            if value > 0:
                low = min(low, value / STRENGTH_FACTOR)
                high = max(high, value * STRENGTH_FACTOR)
            is_used = value > 0 and not is_own
            values.append(
                TunableValue(argument, part, value, low, high, is_used)
            )
    return values


def numbers_of(regularizer):
    """The strengths of a penalty that are not tuned yet, by their names."""
    if not isinstance(regularizer, TunableRegularizer):
        return regularizer.get_config()
    return {
        part: value
        for part, value in regularizer.strengths.items()
        if not isinstance(value, HyperParameter)
    }


def find_regularizers(config):
    """The penalties in a configuration that can be tuned, by arguments."""
    regularizers = {
        argument: keras.regularizers.get(value)
        for argument, value in config.items()
        if argument.endswith("_regularizer")
    }
    return {
        argument: regularizer
        for argument, regularizer in regularizers.items()
        if type(regularizer) in PENALTIES
        or isinstance(regularizer, TunableRegularizer)
    }


def range_around(value, limit, high=1.0):
    """From 0 to `limit`, or where the value is near it or beyond, farther."""
    return 0, limit if value <= 0.9 * limit else min(high, 2 * value)


def tuned_config(layer, declarations):
    """A layer's configuration with hyperparameters in it.

    Args:
        layer: A layer of Keras or of this package.
        declarations: Dictionary from pairs `(argument, part)` to
            hyperparameters.

    Returns:
        Dictionary of arguments.
    """
    is_own = isinstance(layer, HyperLayer)
    config = layer.get_config() if is_own else plain_config(layer)
    for argument, regularizer in find_regularizers(config).items():
        strengths = {
            part: declarations[argument, part]
            for part in numbers_of(regularizer)
            if (argument, part) in declarations
        }
        if strengths:
            kind = PENALTIES.get(type(regularizer), type(regularizer))
            config[argument] = kind(**{**regularizer.get_config(), **strengths})
    for (argument, part), declaration in declarations.items():
        if part is None:
            config[argument] = declaration
    return config


def tuned_class(layer):
    """The class here that tunes the strengths of a layer."""
    if isinstance(layer, HyperLayer):
        return type(layer)
    return getattr(tuned_layers, type(layer).__name__)
