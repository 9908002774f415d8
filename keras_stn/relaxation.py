"""Gradients for discrete strengths.

An `Int` is tuned on the real line and rounded down where it is used, so
nothing differentiable connects it to what a layer does with it. A relaxation
does.
"""

import math

from keras import ops

RELAXATIONS = ("straight_through", "soft", "hard")


def relax(function, *values, relaxation="straight_through", temperature=0.5):
    """Evaluates a function of integers so that it has a useful gradient.

    | `relaxation` | value | gradient |
    |---|---|---|
    | `"straight_through"` | exact | that of the soft value |
    | `"soft"` | soft | its own |
    | `"hard"` | exact | none |

    Args:
        function: Callable `function(*values, temperature)`. With a
            temperature of 0 it gets integers and returns the exact outcome;
            with a positive one it gets real numbers near them and returns a
            differentiable approximation, which tends to the exact outcome as
            the temperature goes to 0. A function that is differentiable in
            its values may ignore the temperature.
        *values: Tensors or numbers, not rounded yet: what
            `HyperLayer.resolve(..., continuous=True)` returns.
        relaxation: `"straight_through"`, `"soft"` or `"hard"`.
        temperature: Positive float. The lower, the closer is the soft value
            to the exact one, and the rarer and steeper its slope.

    Returns:
        What `function` returns: a tensor.

    Raises:
        ValueError: If `relaxation` or `temperature` is not one of the above.

    Example:

    >>> from keras_stn.relaxation import relax
    >>> def square(n, temperature):
    ...     return n**2
    >>> float(relax(square, 3.2, relaxation="hard"))
    9.0

    Reference:
        - [Bengio et al., 2013](https://arxiv.org/abs/1308.3432), the
          straight-through estimator
    """
    check_relaxation(relaxation, temperature)
    if relaxation != "soft":
        integers = [ops.stop_gradient(ops.floor(value)) for value in values]
        exact = ops.stop_gradient(function(*integers, 0.0))
        if relaxation == "hard":
            return exact
    near = [soft_floor(value, temperature) for value in values]
    soft = function(*near, temperature)
    if relaxation == "soft":
        return soft
    # The sum is exact: a difference of equal numbers is zero.
    return exact + (soft - ops.stop_gradient(soft))


def soft_floor(value, temperature):
    """Rounds down softly: a smooth staircase with a slope everywhere.

    In the middle of a step, where an `Int` starts, it equals `floor`. As the
    temperature goes to 0 it tends to `floor`; as it grows, to `value - 0.5`.

    Args:
        value: Tensor or number.
        temperature: Positive float.

    Returns:
        Tensor of the shape of `value`.

    Example:

    >>> from keras_stn.relaxation import soft_floor
    >>> float(soft_floor(2.5, 0.3))
    2.0

    Reference:
        - [Agustsson and Theis, 2020](https://arxiv.org/abs/2006.09952),
          equation 14, the soft rounding of `value - 0.5`
    """
    value = ops.convert_to_tensor(value, getattr(value, "dtype", "float32"))
    # The stairs rise around the integers, from the middle of one step to
    # that of the next.
    step = ops.stop_gradient(ops.floor(value - 0.5))
    sharpness = 1 / temperature
    rise = ops.tanh(sharpness * (value - step - 1))
    return step + 0.5 + rise / (2 * math.tanh(sharpness / 2))


def check_relaxation(relaxation, temperature):
    """Raises a sentence if one of the arguments is none of the choices."""
    if relaxation not in RELAXATIONS:
        raise ValueError(
            "`relaxation` must be 'straight_through', 'soft' or 'hard'. "
            f"Received: relaxation={relaxation!r}"
        )
    is_positive = isinstance(temperature, int | float) and temperature > 0
    if not is_positive:
        raise ValueError(
            "`temperature` must be a positive number; for no softness choose "
            f"relaxation='hard'. Received: temperature={temperature!r}"
        )
