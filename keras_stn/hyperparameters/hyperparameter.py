import math

import keras
import numpy as np

from keras_stn.hyperparameters.transforms import unconstrain

# A default closer to a range's end than this share of the range is moved
# inside: at the end itself the map from the real line is flat and no gradient
# would ever move the hyperparameter.
MARGIN = 0.01

# How far from zero the unconstrained value may go towards a range's end, where
# only 0.03 % of the range is left and the gradient fades.
BOUND = 8.0

# In log space without an end: what float32 can hold after exponentiation.
LOG_BOUND = 80.0


class HyperParameter:
    """Base class of the values that a network may tune: `Float` and `Int`.

    A hyperparameter is a declaration, not a variable: it has a name, a range
    and a starting value. Layers accept one wherever they document it, and the
    `SelfTuningModel` around the network owns the variables behind it.

    Args:
        name: String, the name in logs and tables. Two layers that use the same
            name share one hyperparameter.
        low: Float, the lower end of the range, or `-inf`.
        high: Float, the upper end of the range, or `inf`.
        default: Float, the starting value.
        sampling: `"linear"` or `"log"`.
        scale: Positive float, the initial standard deviation of the
            perturbation, in unconstrained units.
        per_example: Boolean, whether examples get different perturbations.

    Attributes:
        requested_default: Number, the starting value that was asked for,
            where `default` is that moved inside of the range.
    """

    # The largest value is `high - step`: an `Int` spans whole steps.
    step = 0.0
    # How many values it has, or `None` for a single number.
    size = None

    def __init__(self, name, low, high, default, sampling, scale, per_example):
        self.name = name
        self.low = low
        self.high = high
        self.default = self.requested_default = default
        self.sampling = sampling
        self.scale = None if scale is None else float(scale)
        self.per_example = per_example

    @property
    def unconstrained_low(self):
        """The smallest unconstrained value that tuning may reach."""
        if not any(map(math.isfinite, self.transform_range)):
            return -LOG_BOUND if self.sampling == "log" else -math.inf
        return min(-BOUND, self.unconstrained_default)

    @property
    def unconstrained_high(self):
        """The largest unconstrained value that tuning may reach."""
        if all(map(math.isfinite, self.transform_range)):
            return max(BOUND, self.unconstrained_default)
        return LOG_BOUND if self.sampling == "log" else math.inf

    @property
    def unconstrained_default(self):
        """The starting value on the real line."""
        value = self.default + self.step / 2
        if self.sampling == "log":
            value = math.log(value)
        return unconstrain(value, *self.transform_range)

    @property
    def transform_range(self):
        """The range's ends where the map applies: in log space or not."""
        if self.sampling == "log":
            return (
                math.log(self.low) if self.low > 0 else -math.inf,
                math.log(self.high) if self.high < math.inf else math.inf,
            )
        return self.low, self.high

    def limit(self, value):
        """Keeps a constrained value where rounding makes it a valid one.

        Args:
            value: Tensor of any shape.

        Returns:
            Tensor of the shape of `value`.
        """
        return value

    def quantize(self, value):
        """Turns a constrained value into the one that layers use.

        Args:
            value: Tensor of any shape.

        Returns:
            Tensor of the shape of `value`.
        """
        return value

    def starting_at(self, default):
        """The same hyperparameter with another starting value."""
        return self.from_config({**self.get_config(), "default": default})

    def to_python(self, value):
        """Turns one number of this hyperparameter into a Python number."""
        return float(value)

    def get_config(self):
        config = {
            "name": self.name,
            "min_value": self.low if math.isfinite(self.low) else None,
            "max_value": self.high - self.step
            if math.isfinite(self.high)
            else None,
            "default": self.requested_default,
            "sampling": self.sampling,
            "scale": self.scale,
            "per_example": self.per_example,
        }
        if self.sampling == "log" and self.low == 0:
            config["min_value"] = None
        return config

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        if type(self) is not type(other):
            return False
        # Two that start at the same value are alike, whatever was asked for.
        one, two = (
            {**h.get_config(), "default": h.default} for h in (self, other)
        )
        return one == two

    def __hash__(self):
        return hash((type(self), self.name))

    def __repr__(self):
        arguments = ", ".join(
            f"{key}={value!r}" for key, value in self.get_config().items()
        )
        return f"{type(self).__name__}({arguments})"


def check_declaration(
    name, min_value, max_value, default, sampling, scale, kind
):
    """Raises a sentence about the first argument that cannot be used."""
    if not isinstance(name, str) or not name:
        raise ValueError(
            "A hyperparameter's `name` must be a non-empty string, by which "
            f"logs and tables call it. Received: name={name!r}"
        )
    what = f"the hyperparameter '{name}'"
    if sampling not in ("linear", "log"):
        raise ValueError(
            f"`sampling` of {what} must be 'linear' or 'log'. "
            f"Received: sampling={sampling!r}"
        )
    numbers = {
        "min_value": min_value,
        "max_value": max_value,
        "default": default,
    }
    for argument, value in numbers.items():
        if value is None:
            continue
        if not is_number(value, kind):
            raise ValueError(
                f"`{argument}` of {what} must be "
                f"{'an integer' if kind is int else 'a finite number'} or "
                f"`None`. Received: {argument}={value!r}"
            )
    if min_value is not None and max_value is not None:
        if min_value >= max_value:
            raise ValueError(
                f"`min_value` of {what} must be less than `max_value`. "
                f"Received: min_value={min_value}, max_value={max_value}"
            )
    if sampling == "log":
        is_zero = kind is float and default == 0
        if is_zero and min_value is not None:
            # The lower end stands for it.
            default = numbers["default"] = min_value
        for argument, value in numbers.items():
            advice = "use `None` for a range without that end"
            if argument == "default" and is_zero:
                advice = "give a `min_value`, at which 0 then starts"
            if value is not None and value <= 0:
                raise ValueError(
                    f"`{argument}` of {what} must be positive with "
                    f"sampling='log'; {advice}, or sampling='linear'. "
                    f"Received: {argument}={value}"
                )
    if default is not None:
        below = min_value is not None and default < min_value
        above = max_value is not None and default > max_value
        if below or above:
            raise ValueError(
                f"`default` of {what} must lie in its range. Received: "
                f"default={default}, min_value={min_value}, "
                f"max_value={max_value}"
            )
    if scale is not None and not (is_number(scale, float) and scale > 0):
        raise ValueError(
            f"`scale` of {what}, the standard deviation of its perturbation "
            "in unconstrained units, must be a positive number. "
            f"Received: scale={scale!r}"
        )


def check_range(argument, hyperparameter, low, high):
    """Raises a sentence if a hyperparameter's range is wider than allowed.

    Args:
        argument: String, the layer's argument that it was given for.
        hyperparameter: A `Float` or `Int`.
        low: Float, the smallest allowed value.
        high: Float, the largest allowed value, or `inf`.
    """
    if hyperparameter.low >= low and hyperparameter.high <= high:
        return
    if high == math.inf:
        rest = f"start at {low:g} or more; give its hyperparameter such a "
        rest += "`min_value`"
    else:
        rest = f"lie between {low:g} and {high:g}; give its hyperparameter "
        rest += "such a `min_value` and `max_value`"
    raise ValueError(
        f"The range of `{argument}` must {rest}. Received: "
        f"{argument}={hyperparameter}"
    )


def check_single(argument, value):
    """Raises a sentence if one number is needed and a vector was given.

    Args:
        argument: String, the argument that it was given for.
        value: A number or a hyperparameter.
    """
    if isinstance(value, HyperParameter) and value.size is not None:
        raise ValueError(
            f"`{argument}` is one number; give its hyperparameter no `size`. "
            f"Received: {argument}={value}"
        )


def is_number(value, kind):
    """Whether `value` is a finite number, or an integer if `kind` is int."""
    if isinstance(value, bool | np.bool_):
        return False
    try:
        return math.isfinite(value) and (kind is float or int(value) == value)
    except (TypeError, ValueError, OverflowError):
        return False


def get(identifier):
    """Retrieves a number or a hyperparameter from what a layer was given.

    Args:
        identifier: A number, a hyperparameter, or the configuration of a
            serialized hyperparameter.

    Returns:
        A number or a hyperparameter.
    """
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    return identifier


def serialize(value):
    """Inverse of `get`: a number, or a hyperparameter's configuration."""
    if isinstance(value, HyperParameter):
        return keras.saving.serialize_keras_object(value)
    return value
