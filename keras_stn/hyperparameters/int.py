import math

import keras
import numpy as np
from keras import ops

from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_declaration


@keras.saving.register_keras_serializable(package="keras_stn")
class Int(HyperParameter):
    """An integer hyperparameter that the network tunes while it trains.

    On the real line it is tuned like a `Float`; layers get it rounded down.
    The range is widened by one step so that `max_value` is as easily reached
    as any other value, and the starting point is the middle of the step of
    `default`.

    Args:
        name: String, the name in logs and tables. Layers that use the same
            name share one hyperparameter and must declare it alike.
        min_value: Integer, the smallest value, or `None` for none.
        max_value: Integer, the largest value, or `None` for none.
        default: Integer in the range, the starting value. If `None`, the
            smallest value; without one the largest; without any 0, or 1 with
            `sampling="log"`.
        sampling: `"linear"` or `"log"`.
        scale: As in `Float`.
        per_example: Boolean. If `False`, one perturbation serves a whole
            batch.

    Raises:
        ValueError: If the range is empty or holds a number that is not an
            integer, or `default` lies outside it.

    Example:

    >>> import keras_stn as stn
    >>> holes = stn.Int("cutout_holes", 0, 4, default=1)
    >>> holes.default
    1

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """

    step = 1

    def __init__(
        self,
        name,
        min_value=None,
        max_value=None,
        default=None,
        sampling="linear",
        scale=None,
        per_example=True,
    ):
        check_declaration(
            name, min_value, max_value, default, sampling, scale, int
        )
        if default is None:
            default = min_value if min_value is not None else max_value
        if default is None:
            default = 1 if sampling == "log" else 0
        low = -math.inf if min_value is None else float(min_value)
        if sampling == "log" and min_value is None:
            low = 0.0
        super().__init__(
            name=name,
            low=low,
            high=math.inf if max_value is None else float(max_value + 1),
            default=int(default),
            sampling=sampling,
            scale=scale,
            per_example=bool(per_example),
        )

    def limit(self, value):
        # In float32 the sigmoid reaches 1 exactly, and with it the step above
        # the largest value.
        if not math.isfinite(self.high):
            return value
        return ops.minimum(value, np.nextafter(np.float32(self.high), -np.inf))

    def quantize(self, value):
        return ops.floor(self.limit(value))

    def to_python(self, value):
        return int(value)

    def get_config(self):
        config = super().get_config()
        for key in ("min_value", "max_value"):
            if config[key] is not None:
                config[key] = int(config[key])
        return config
