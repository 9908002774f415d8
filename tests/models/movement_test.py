import numpy as np
import pytest

import keras_stn as stn
from keras_stn.models.movement import drift
from keras_stn.models.movement import find_end
from keras_stn.models.movement import has_moved


def column(*values):
    return np.float32(values)[:, None]


def test_what_came_back_has_moved():
    assert has_moved(column(0, 0.1, 0))
    assert not has_moved(column(0, 0.04, -0.04))


def test_of_several_values_one_that_moved_is_enough():
    locations = np.zeros((4, 3))
    assert not has_moved(locations)
    locations[2, 1] = 0.1
    assert has_moved(locations)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_steady_drift_at_the_end_is_seen(sign):
    assert drift(sign * np.linspace(0, 1, 6)[:, None]) == sign
    assert drift(sign * column(0, 0, 0, 0, 0, 0, 0.2, 0.4)) == sign


def test_what_came_to_rest_does_not_drift():
    assert drift(column(0, 1, 2, 3, 3.1, 3.15)) == 0
    assert drift(3 * (1 - np.exp(-np.arange(31) / 5))[:, None]) == 0


def test_a_slow_drift_over_many_epochs_is_seen():
    # A step of 0.02 an epoch, and noise five times as large.
    noise = np.random.default_rng(0).normal(size=101) / 10
    assert drift((np.arange(101) / 50 + noise)[:, None]) == 1
    assert drift(noise[:, None]) == 0


def test_what_goes_back_and_forth_does_not_drift():
    assert drift(column(0, 1, 0, 1, 0, 1)) == 0
    assert drift(column(0, 2, 0.5)) == 0
    assert drift(column(0, 1, 0.8, 1.6)) == 1


def test_a_single_epoch_that_went_far_drifts():
    assert drift(column(0, 0.3)) == 1
    assert drift(column(0, 0.2)) == 0


def test_several_values_that_go_apart_drift():
    way = np.linspace(0, 1, 6)[:, None]
    assert drift(way * [1, -1, 1, 1]) == 1
    # On the average of the squares they are at rest.
    assert drift(way * ([1] + [0] * 35)) == 0


INNER = (None, 0)
LOWER = ("lower", -1)
UPPER = ("upper", 1)


@pytest.mark.parametrize(
    "hyperparameter, expected",
    [
        (stn.Float("a", 0.0, 0.9), [LOWER, INNER, INNER, INNER, UPPER]),
        (
            stn.Float("a", 1e-7, 1e-1, sampling="log"),
            [LOWER, INNER, INNER, INNER, UPPER],
        ),
        (stn.Int("a", 0, 4), [LOWER, INNER, INNER, INNER, UPPER]),
        (stn.Float("a", 0.0), [LOWER] + [INNER] * 4),
        (stn.Float("a", 1e-7, sampling="log"), [LOWER] + [INNER] * 4),
        (stn.Float("a", None, 2.0), [("upper", -1)] + [INNER] * 4),
        (stn.Float("a"), [INNER] * 5),
        (stn.Float("a", sampling="log"), [INNER] * 5),
    ],
)
def test_an_end_is_near_where_two_percent_are_left(hyperparameter, expected):
    locations = [-3.95, -3.85, 0.0, 3.85, 3.95]
    found = [find_end(column(x)[0], hyperparameter) for x in locations]
    assert found == expected
    low, high = hyperparameter.transform_range
    if np.isfinite(high - low):
        shares = 1 / (1 + np.exp(-np.array(locations)))
        near = (shares < 0.02) | (shares > 0.98)
        assert [end is not None for end, _ in found] == near.tolist()


def test_several_values_are_at_an_end_together():
    rates = stn.Float("a", 0.0, 0.9, size=2)
    assert find_end(np.float32([-5, -4]), rates) == LOWER
    assert find_end(np.float32([-5, 0]), rates) == INNER
    assert find_end(np.float32([-5, 5]), rates) == INNER
