"""Maps between ranges and the real line, as functions of tensors.

The linear maps are those of the official implementation of Self-Tuning
Networks, so that a hyperparameter's unconstrained value means the same there
and here.
"""

import math

import numpy as np
from keras import ops


def constrain(x, low, high):
    """Maps unconstrained values into the range from `low` to `high`.

    | range | map |
    |---|---|
    | `low` and `high` finite | `low + (high - low) * sigmoid(x)` |
    | `low` finite | `low + softplus(x)` |
    | `high` finite | `high - softplus(x)`, which decreases in `x` |
    | neither | `x` |

    Args:
        x: Tensor of any shape, unconstrained.
        low: Float or array, the ranges' lower ends, all finite or all `-inf`.
        high: Float or array, the ranges' upper ends, all finite or all `inf`.

    Returns:
        Tensor of the shape of `x`.

    Example:

    >>> from keras_stn.hyperparameters.transforms import constrain
    >>> float(constrain(0.0, 0.0, 0.5))
    0.25
    """
    has_low, has_high = np.isfinite(low).all(), np.isfinite(high).all()
    if has_low and has_high:
        return low + (high - low) * ops.sigmoid(x)
    if has_low:
        return low + ops.softplus(x)
    if has_high:
        return high - ops.softplus(x)
    return ops.convert_to_tensor(x)


def unconstrain(value, low, high):
    """Inverse of `constrain`, for one Python number inside the range.

    Args:
        value: Float strictly between `low` and `high`.
        low: Float, the range's lower end, or `-inf`.
        high: Float, the range's upper end, or `inf`.

    Returns:
        Float, the unconstrained value.

    Example:

    >>> from keras_stn.hyperparameters.transforms import unconstrain
    >>> unconstrain(0.25, 0.0, 0.5)
    0.0
    """
    if math.isfinite(low) and math.isfinite(high):
        return math.log(value - low) - math.log(high - value)
    if math.isfinite(low):
        return inverse_softplus(value - low)
    if math.isfinite(high):
        return inverse_softplus(high - value)
    return float(value)


def inverse_softplus(value):
    """Inverse of the softplus function, exact for large numbers too.

    Args:
        value: Positive float.

    Returns:
        Float `x` with `log(1 + exp(x)) == value`.
    """
    return value + math.log(-math.expm1(-value))
