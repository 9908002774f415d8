import json
import math

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import BOUND
from keras_stn.hyperparameters.hyperparameter import LOG_BOUND

INF = math.inf

DIFFERENT = [
    stn.Float("a", 0.0, 1.0, default=0.5),
    stn.Float("b", 0.0, 1.0, default=0.5),
    stn.Float("a", -1.0, 1.0, default=0.5),
    stn.Float("a", 0.0, 2.0, default=0.5),
    stn.Float("a", 0.0, None, default=0.5),
    stn.Float("a", None, 1.0, default=0.5),
    stn.Float("a", 0.0, 1.0, default=0.4),
    stn.Float("a", 0.0, 1.0, default=0.5, scale=0.4),
    stn.Float("a", 0.0, 1.0, default=0.5, per_example=False),
    stn.Float("a", 0.1, 1.0, default=0.5),
    stn.Float("a", 0.1, 1.0, default=0.5, sampling="log"),
    stn.Int("a", 0, 1),
    stn.Int("a", 0, 2),
    stn.Float("a", 0.0, 2.0, default=0.0),
    "a",
    0.5,
]


def test_equal_declarations_are_equal():
    first = stn.Float("a", 0, 1, default=0.5)
    second = stn.Float("a", 0.0, 1.0, default=0.5)
    assert first == second
    assert hash(first) == hash(second)


def test_declarations_that_differ_anywhere_are_not_equal():
    for i, first in enumerate(DIFFERENT):
        for j, second in enumerate(DIFFERENT):
            assert (first == second) == (i == j), (first, second)


def test_repr_can_be_evaluated():
    for declaration in (
        stn.Float("a", 0.0, 0.9, default=0.25, per_example=False),
        stn.Int("b", 2, 5, sampling="log"),
    ):
        names = {"Float": stn.Float, "Int": stn.Int}
        assert eval(repr(declaration), names) == declaration


@pytest.mark.parametrize(
    "declaration, low, high",
    [
        (stn.Float("a", 0.0, 1.0), -BOUND, BOUND),
        (stn.Float("a", 0.0), -BOUND, INF),
        (stn.Float("a", max_value=0.0), -BOUND, INF),
        (stn.Float("a"), -INF, INF),
        (stn.Float("a", 1e-3, 1.0, sampling="log"), -BOUND, BOUND),
        (stn.Float("a", 1e-3, sampling="log"), -BOUND, LOG_BOUND),
        (stn.Float("a", None, 1e-3, sampling="log"), -BOUND, LOG_BOUND),
        (stn.Float("a", sampling="log"), -LOG_BOUND, LOG_BOUND),
        (stn.Int("a", 0, 4), -BOUND, BOUND),
        (stn.Int("a"), -INF, INF),
    ],
)
def test_tuning_is_bounded_towards_the_ends_alone(declaration, low, high):
    assert declaration.unconstrained_low == low
    assert declaration.unconstrained_high == high


def test_bounds_hold_the_starting_value():
    first = stn.Int("a", 0, 10000, default=0)
    assert first.unconstrained_low == first.unconstrained_default < -BOUND
    last = stn.Int("a", 0, 10000, default=10000)
    assert last.unconstrained_high == last.unconstrained_default > BOUND


@pytest.mark.parametrize("number", [0.5, 3, None])
def test_a_number_passes_through_get_and_serialize(number):
    assert hyperparameter.get(number) is number
    assert hyperparameter.serialize(number) is number


def test_get_inverts_serialize():
    declaration = stn.Float("a", 0.0, 1.0, default=0.25)
    config = hyperparameter.serialize(declaration)
    assert isinstance(config, dict)
    assert hyperparameter.get(config) == declaration
    assert hyperparameter.get(declaration) is declaration


def test_to_python_gives_python_numbers():
    value = np.float32(2.0)
    assert type(stn.Float("a").to_python(value)) is float
    assert type(stn.Int("a").to_python(value)) is int


def test_configuration_can_be_written_as_json():
    for declaration in (
        stn.Float("a", np.float32(0), np.float32(1)),
        stn.Int("b", np.int64(0), np.int64(3)),
    ):
        config = keras.saving.serialize_keras_object(declaration)
        again = json.loads(json.dumps(config))
        assert keras.saving.deserialize_keras_object(again) == declaration
