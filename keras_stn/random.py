"""Random numbers that do not depend on how many replicas share a batch.

Under a `tf.distribute` strategy, Keras's random layers draw alike on every
replica. These functions give each replica the rows that belong to its
examples: together they are what one replica draws for the whole batch. With
one replica they are those of `keras.random`.
"""

import functools

import keras
from keras import ops

from keras_stn import backend
from keras_stn.hyperparameters.batch_part import current_part


def uniform(shape, dtype=None, seed=None, by_group=False):
    """Draws uniform numbers between 0 and 1.

    Args:
        shape: Tuple of integers. Its first axis counts this replica's
            examples, or their groups.
        dtype: The dtype of the result, floating point. If `None`, Keras's
            `floatx`.
        seed: A `keras.random.SeedGenerator`.
        by_group: Boolean, whether the first axis counts the groups of
            examples that share their hyperparameters.

    Returns:
        Tensor of the given shape.
    """
    return _draw("uniform", shape, seed, by_group, dtype=to_dtype(dtype))


def normal(shape, dtype=None, seed=None):
    """Draws normal numbers of mean 0 and variance 1.

    Args:
        shape: Tuple of integers. Its first axis counts this replica's
            examples.
        dtype: As for `uniform`.
        seed: As for `uniform`.

    Returns:
        Tensor of the given shape.
    """
    return _draw("normal", shape, seed, dtype=to_dtype(dtype))


def randint(shape, minval, maxval, seed=None):
    """Draws integers.

    Args:
        shape: As for `normal`.
        minval: Integer, the lowest.
        maxval: Integer, one above the highest.
        seed: As for `uniform`.

    Returns:
        Int32 tensor of the given shape.
    """
    bounds = {"minval": minval, "maxval": maxval, "dtype": "int32"}
    return _draw("randint", shape, seed, **bounds)


def _draw(name, shape, seed, by_group=False, **arguments):
    draw = functools.partial(getattr(keras.random, name), seed=seed)
    replica, replicas = backend.replica()
    if replicas == 1:
        return draw(shape, **arguments)
    part = current_part()
    if by_group and part is not None and not part.has_whole_groups:
        everything = draw((part.groups, *shape[1:]), **arguments)
        return ops.take(everything, part.group_indices(), axis=0)
    if part is None:
        first = replica * shape[0]
    else:
        first = part.first_group if by_group else part.first
    return backend.draw_rows(name, shape, first, seed, **arguments)


def to_dtype(dtype):
    return keras.backend.standardize_dtype(dtype or keras.config.floatx())
