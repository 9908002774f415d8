"""The values one scale around those of a schedule."""

import math

import numpy as np
from keras import ops

from keras_stn.hyperparameters.transforms import constrain
from keras_stn.hyperparameters.transforms import unconstrain

# Rounding may have put a value on the end of its range, which is infinitely
# far away on the real line.
MARGIN = 1e-6


def with_bounds(records, declarations):
    """Adds `NAME_lower` and `NAME_upper` to columns that lack them.

    Logs hold the whole number that layers used of an `Int`, which is taken to
    lie in the middle of its step.

    Args:
        records: Dictionary of columns, from
            `keras_stn.schedules.records.read_records`.
        declarations: List of `Float` and `Int`.

    Returns:
        Dictionary of columns.
    """
    bounds = {}
    for h in declarations:
        columns = h.name, f"{h.name}_scale"
        if all(column in records for column in columns):
            ends = find_bounds(h, *(records[column] for column in columns))
            bounds |= zip((f"{h.name}_lower", f"{h.name}_upper"), ends)
    return bounds | records


def find_bounds(hyperparameter, values, scales):
    """The values one scale below and above, as layers use them.

    Args:
        hyperparameter: A `Float` or `Int`.
        values: Array of its values.
        scales: Array of its perturbation's scales, in unconstrained units.

    Returns:
        Tuple of two arrays.
    """
    middle = np.array([to_unconstrained(hyperparameter, v) for v in values])
    ends = [
        to_values(hyperparameter, middle + sign * scales) for sign in (-1, 1)
    ]
    # With only an upper end, the map falls.
    return np.minimum(*ends), np.maximum(*ends)


def to_unconstrained(hyperparameter, value):
    value = float(value) + hyperparameter.step / 2
    if hyperparameter.sampling == "log":
        value = math.log(value)
    low, high = hyperparameter.transform_range
    margin = MARGIN * (high - low if math.isfinite(high - low) else 1.0)
    return unconstrain(max(low + margin, min(value, high - margin)), low, high)


def to_values(hyperparameter, unconstrained):
    values = constrain(unconstrained, *hyperparameter.transform_range)
    if hyperparameter.sampling == "log":
        values = ops.exp(values)
    return ops.convert_to_numpy(hyperparameter.quantize(values))
