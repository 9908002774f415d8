import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_stn import backend
from keras_stn import random
from keras_stn.hyperparameters.batch_part import BatchPart
from keras_stn.hyperparameters.batch_part import entered_part

DRAWS = {
    "uniform": {"dtype": "float32"},
    "normal": {"dtype": "float32"},
    "randint": {"minval": 0, "maxval": 13, "dtype": "int32"},
}


def draw_all(name, shape, **kwargs):
    seed = keras.random.SeedGenerator(3)
    return ops.convert_to_numpy(
        getattr(keras.random, name)(shape, seed=seed, **kwargs)
    )


def draw_rows(name, shape, first, **kwargs):
    seed = keras.random.SeedGenerator(3)
    return ops.convert_to_numpy(
        backend.draw_rows(name, shape, first, seed, **kwargs)
    )


# Rows that begin within a block of random bits, and rows that do not.
@pytest.mark.parametrize("row", [(), (3,), (4,), (5, 7)])
@pytest.mark.parametrize("name", DRAWS)
def test_rows_are_those_of_the_whole(name, row):
    whole = draw_all(name, (9, *row), **DRAWS[name])
    for first, count in ((0, 5), (5, 4), (7, 1)):
        np.testing.assert_array_equal(
            draw_rows(name, (count, *row), first, **DRAWS[name]),
            whole[first : first + count],
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_rows_of_other_dtypes_are_those_of_the_whole(dtype):
    whole = draw_all("uniform", (9, 3), dtype=dtype)
    rows = draw_rows("uniform", (4, 3), 5, dtype=dtype)
    np.testing.assert_array_equal(rows, whole[5:])


@pytest.mark.parametrize("name", ["uniform", "randint"])
def test_rows_are_those_of_the_whole_under_xla(name):
    seeds = [keras.random.SeedGenerator(3) for _ in range(2)]

    @tf.function(jit_compile=True)
    def draw():
        return (
            getattr(keras.random, name)((9, 3), seed=seeds[0], **DRAWS[name]),
            backend.draw_rows(name, (4, 3), 5, seeds[1], **DRAWS[name]),
        )

    whole, rows = draw()
    np.testing.assert_array_equal(rows, whole[5:])


@pytest.fixture
def as_replica(monkeypatch):
    """Makes this the replica of a number among others."""

    def be(index, replicas):
        monkeypatch.setattr(backend, "replica", lambda: (index, replicas))

    return be


def draw_part(draw, sizes, index, limit, as_replica, **kwargs):
    """What one of several replicas draws for its examples or groups."""
    as_replica(index, len(sizes))
    place = sum(sizes[:index]), sum(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "place_in_batch", lambda size, sizes: place)
        part = BatchPart(sizes[index], sizes, limit)
    count = part.num_rows if kwargs.get("by_group") else part.size
    with entered_part(part):
        return ops.convert_to_numpy(
            draw((count, 3), seed=keras.random.SeedGenerator(3), **kwargs)
        )


@pytest.mark.parametrize("sizes", [(4, 4), (3, 2), (2, 2, 1, 1)])
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_replicas_draw_together_what_one_draws(sizes, name, as_replica):
    whole = draw_all(name, (sum(sizes), 3), dtype="float32")
    parts = [
        draw_part(getattr(random, name), sizes, i, None, as_replica)
        for i in range(len(sizes))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("sizes", "limit", "groups", "rows"),
    [
        # Groups of two examples, none of which lies on two replicas.
        ((4, 4), 4, 4, [[0, 1], [2, 3]]),
        # Groups of three, the second of which does.
        ((5, 4), 4, 3, [[0, 0, 0, 1, 1], [1, 2, 2, 2]]),
        # Groups of four on replicas of ten: blocks of two.
        ((10, 10), 5, 5, [[0, 0, 1, 1, 2], [2, 3, 3, 4, 4]]),
    ],
)
def test_replicas_share_groups_that_lie_on_both(
    sizes, limit, groups, rows, as_replica
):
    whole = draw_all("uniform", (groups, 3), dtype="float32")
    for i, expected in enumerate(rows):
        drawn = draw_part(
            random.uniform, sizes, i, limit, as_replica, by_group=True
        )
        np.testing.assert_array_equal(drawn, whole[expected])


def test_one_replica_draws_as_keras():
    drawn = random.uniform((5, 3), seed=keras.random.SeedGenerator(3))
    whole = draw_all("uniform", (5, 3), dtype="float32")
    np.testing.assert_array_equal(drawn, whole)
