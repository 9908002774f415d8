"""How fast hyperparameters move, by the length of a `fit`."""

import math

import keras

# How far, in unconstrained units, a hyperparameter could move in a training if
# all steps went one way: across a range and back, a few times over. Chosen on
# the problems of `examples/scoreboard.py`.
REACH = 40.0
# The rate of the paper, which trains for tens of thousands of steps, and one
# at which a training of few steps does not leave its responses behind.
SMALLEST, LARGEST = 3e-3, 0.1
# The share of a training in which the rate rises, while responses are learned,
# and what is left of it at the end, for values to settle.
RISE = 0.1
LAST_SHARE = 0.05
# A training that stops early lasts this many times its patience, or less.
PATIENCE_FACTOR = 5


def planned_end(initial_epoch, epochs, callbacks):
    """The epoch before which a training may be expected to end.

    Args:
        initial_epoch: As in `keras.Model.fit`.
        epochs: As in `keras.Model.fit`.
        callbacks: As in `keras.Model.fit`.

    Returns:
        Integer, at most `epochs`.
    """
    callbacks = getattr(callbacks, "callbacks", callbacks)
    ends = [
        initial_epoch + PATIENCE_FACTOR * callback.patience
        for callback in keras.tree.flatten(callbacks)
        if isinstance(callback, keras.callbacks.EarlyStopping)
        and callback.patience
    ]
    return min([epochs, *ends])


def planned_rate(tuning_steps, share):
    """The learning rate of the hyperparameters at a point of a training.

    Adam moves each by about its rate in a step, so a short training needs a
    larger one to come as far. The rate rises at first, then it falls along
    half a cosine.

    Args:
        tuning_steps: Integer, hyperparameter updates of the whole training,
            or `None` if it is not known.
        share: Float above 0, how much of the training is over; from 1 on
            the rate stays.

    Returns:
        Float.
    """
    if tuning_steps is None:
        return SMALLEST
    rate = min(max(REACH / max(tuning_steps, 1), SMALLEST), LARGEST)
    rise = min(share / RISE, 1.0)
    fall = (1 + math.cos(math.pi * min(share, 1.0))) / 2
    return rate * rise * (LAST_SHARE + (1 - LAST_SHARE) * fall)
