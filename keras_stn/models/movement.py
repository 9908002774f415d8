"""How hyperparameters moved while a network was trained.

Functions of the unconstrained values λ that a training went through: an array
of shape `(epochs + 1, n)`, those at the beginning and at the end of each epoch
that tuned. A hyperparameter has one of the `n` columns, or as many as its size.
"""

import math

import numpy as np

# A hyperparameter that was never farther than this from its start has hardly
# moved: in a range with two ends it is at most 1.25 % of the range.
SMALL = 0.05

# It is still moving if it covered more than this at the end: well below the
# standard deviation that perturbations have at first, by which the network
# tells how its loss changes. In a range with two ends it is at most 6 % of it.
LARGE = 0.25

# The end is the last fifth, long enough for a direction to stand out against
# the noise of single epochs; and two epochs, since one has no noise to see.
END_SHARE = 0.2
END_EPOCHS = 2

# A value is at an end of its range if so little of the range lies beyond.
# Where starts are moved to, at 1 %, the gradient is a twenty-fifth of that in
# the middle.
NEAR_END = 0.02


def has_moved(locations):
    """Whether a hyperparameter was ever away from its start.

    Args:
        locations: Array of shape `(epochs + 1, n)`.

    Returns:
        Boolean. Of several values one is enough.
    """
    return bool(np.abs(locations - locations[0]).max() >= SMALL)


def drift(locations):
    """In which direction a hyperparameter is still moving at the end.

    It is moving if the way from the beginning of the last epochs to their end
    is large, and larger than what it strayed from the straight line between.

    Args:
        locations: Array of shape `(epochs + 1, n)`.

    Returns:
        1 or -1, the sign of the mean change of λ; or 0 if it is at rest, or
        goes back and forth.
    """
    epochs = len(locations) - 1
    window = min(max(END_EPOCHS, math.ceil(END_SHARE * epochs)), epochs)
    recent = locations[epochs - window :]
    way = recent[-1] - recent[0]
    line = recent[0] + np.linspace(0, 1, len(recent))[:, None] * way
    noise = np.ptp(recent - line, axis=0)
    if root_mean_square(way) <= max(LARGE, root_mean_square(noise)):
        return 0
    return 1 if way.mean() >= 0 else -1


def root_mean_square(values):
    return np.sqrt(np.mean(np.square(values)))


def find_end(location, hyperparameter):
    """At which end of its range a hyperparameter is.

    Args:
        location: Array of shape `(n,)`.
        hyperparameter: A `Float` or `Int`.

    Returns:
        A pair of `"lower"` or `"upper"`, and -1 or 1, the direction of λ
        towards that end; or `(None, 0)` if it is at none. Several values must
        all be at the same end.
    """
    has_low, has_high = map(math.isfinite, hyperparameter.transform_range)
    # Where one end is open, λ that goes down goes to the other one.
    limit = math.log(NEAR_END / (1 - NEAR_END))
    if (has_low or has_high) and (location < limit).all():
        return "lower" if has_low else "upper", -1
    if has_low and has_high and (location > -limit).all():
        return "upper", 1
    return None, 0
