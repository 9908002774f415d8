import math

import keras

from keras_stn.hyperparameters.hyperparameter import MARGIN
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_declaration
from keras_stn.hyperparameters.hyperparameter import is_number


@keras.saving.register_keras_serializable(package="keras_stn")
class Float(HyperParameter):
    """A real-valued hyperparameter that the network tunes while it trains.

    Give it to a layer in place of a number:
    `Dropout(stn.Float("dropout", 0.0, 0.9, default=0.05))`.

    Args:
        name: String, the name in logs and tables. Layers that use the same
            name share one hyperparameter and must declare it alike.
        min_value: Float, the lower end of the range, or `None` for none.
        max_value: Float, the upper end of the range, or `None` for none.
        default: Float in the range, the starting value. A default at an end
            of the range, or within 1 % of the range from it (for a range
            with one end: within 0.01, with `sampling="log"` within 1 %), is
            moved inside by that much, since the gradient vanishes at the
            end; `requested_default` keeps what was asked for. With
            `sampling="log"` 0 stands for the lower end. If `None`, the lower
            end, moved inside; without one the upper end; without any 0, or 1
            with `sampling="log"`.
        sampling: `"linear"`, or `"log"` for a strength whose order of
            magnitude matters, which then must be positive.
        scale: Positive float, the initial standard deviation of the
            perturbation, in unconstrained units, or `None` for that of the
            model's `preset`: 1.5, which from the middle of a range reaches
            between 18 % and 82 % of it, and 3 with `sampling="log"`, since a
            small strength does nothing to learn from until it is some orders
            of magnitude larger; with `preset="paper"` 0.5.
        per_example: Boolean. If `False`, one perturbation serves a whole
            batch, for a value that cannot differ between examples, such as
            the strength of a weight penalty.
        size: Integer, how many values there are, for a layer that takes one
            for each unit or channel, such as `stn.layers.Dropout`; or `None`
            for a single number. Logs hold the mean of the values.

    Raises:
        ValueError: If the range is empty, `default` lies outside it, a range
            with `sampling="log"` is not positive, or `size` is not; or if
            `default` is 0 with `sampling="log"` and no `min_value`.

    Example:

    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.05)
    >>> rate.default
    0.05
    >>> penalty = stn.Float("l2", 1e-7, 1e-1, default=1e-4, sampling="log")

    A start as small as it can be:

    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.0)
    >>> rate.requested_default, round(rate.default, 4)
    (0.0, 0.009)

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """

    def __init__(
        self,
        name,
        min_value=None,
        max_value=None,
        default=None,
        sampling="linear",
        scale=None,
        per_example=True,
        size=None,
    ):
        check_declaration(
            name, min_value, max_value, default, sampling, scale, float
        )
        if size is not None and not (is_number(size, int) and size >= 1):
            raise ValueError(
                f"`size` of the hyperparameter '{name}' must be a positive "
                "integer, the number of its values, or `None` for one number. "
                f"Received: size={size!r}"
            )
        self.size = size and int(size)
        low = -math.inf if min_value is None else float(min_value)
        high = math.inf if max_value is None else float(max_value)
        if sampling == "log" and min_value is None:
            low = 0.0
        requested = requested_value(min_value, max_value, default, sampling)
        super().__init__(
            name=name,
            low=low,
            high=high,
            default=starting_value(min_value, max_value, requested, sampling),
            sampling=sampling,
            scale=scale,
            per_example=bool(per_example),
        )
        self.requested_default = requested

    def get_config(self):
        config = super().get_config()
        return config if self.size is None else {**config, "size": self.size}


def requested_value(min_value, max_value, default, sampling):
    """Returns `default`, or what `None` stands for."""
    for value in (default, min_value, max_value):
        if value is not None:
            return float(value)
    return 1.0 if sampling == "log" else 0.0


def starting_value(min_value, max_value, default, sampling):
    """Returns `default`, moved inside the range by the documented margin."""
    log = sampling == "log"
    if log and default == 0:
        default = min_value
    forward = math.log if log else float
    low = -math.inf if min_value is None else forward(min_value)
    high = math.inf if max_value is None else forward(max_value)
    margin = MARGIN * (high - low) if math.isfinite(high - low) else MARGIN
    inside = min(max(forward(default), low + margin), high - margin)
    if inside == forward(default):
        return default
    return math.exp(inside) if log else inside
