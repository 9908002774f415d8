import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from keras_stn.plotting.spread import spread


def test_what_has_room_stays():
    assert spread([0.9, 0.1, 0.5], gap=0.3) == pytest.approx([0.9, 0.1, 0.5])


def test_order_and_distance_are_kept_inside_the_ends():
    targets = np.random.default_rng(0).uniform(0.9, 1.2, 8)
    places = spread(targets, gap=0.1, low=0.05, high=0.95)
    assert np.array_equal(np.argsort(places), np.argsort(targets))
    distances = np.diff(sorted(places))
    assert distances.min() >= 0.1 - 1e-12
    assert max(places) == pytest.approx(0.95)
    assert min(places) >= 0.05


def test_places_move_as_little_as_possible():
    targets, gap = np.array([0.2, 0.25, 0.26, 0.6, 0.9, 0.93]), 0.12
    result = minimize(
        lambda x: np.sum((x - targets) ** 2),
        np.linspace(0.1, 0.9, 6),
        constraints=[
            {"type": "ineq", "fun": lambda x: np.diff(x) - gap},
            {"type": "ineq", "fun": lambda x: np.r_[x[0], 1 - x[-1]]},
        ],
        method="SLSQP",
    )
    places = spread(targets, gap)
    np.testing.assert_allclose(places, result.x, atol=1e-4)


def test_too_many_go_beyond_the_upper_end():
    places = spread([0.5] * 12, gap=0.1)
    assert places[0] == 0.0
    assert all(
        b - a == pytest.approx(0.1) for a, b in itertools.pairwise(places)
    )


def test_nothing_gives_nothing():
    assert spread([], gap=0.1) == []
