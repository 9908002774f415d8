import math

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace

INF = math.inf


def values_at(hyperparameter, unconstrained):
    """What layers get at each of the unconstrained values."""
    space = HyperparameterSpace([hyperparameter])
    shift = np.float32(unconstrained)[:, None] - space.location[0]
    sample = space.sample(len(unconstrained), noise=shift / space.scale)
    return keras.ops.convert_to_numpy(sample[hyperparameter.name])


def test_range_is_widened_by_one_step():
    holes = stn.Int("holes", 0, 4)
    assert (holes.low, holes.high) == (0.0, 5.0)


def test_missing_ends_are_infinite():
    assert (stn.Int("a").low, stn.Int("a").high) == (-INF, INF)


@pytest.mark.parametrize(
    "arguments, default",
    [
        ({"min_value": 2, "max_value": 4}, 2),
        ({"min_value": 2}, 2),
        ({"max_value": 4}, 4),
        ({}, 0),
        ({"sampling": "log"}, 1),
        ({"min_value": 3, "max_value": 9, "sampling": "log"}, 3),
    ],
)
def test_default_when_none_is_given(arguments, default):
    hyperparameter = stn.Int("a", **arguments)
    assert hyperparameter.default == default
    assert HyperparameterSpace([hyperparameter]).values() == {"a": default}


@pytest.mark.parametrize("sampling", ["linear", "log"])
@pytest.mark.parametrize("ends", [(1, 6), (1, None), (None, 6)])
def test_every_default_is_the_first_value(ends, sampling):
    for default in range(1, 7):
        hyperparameter = stn.Int("a", *ends, default=default, sampling=sampling)
        value = HyperparameterSpace([hyperparameter]).values()["a"]
        assert value == default
        assert type(value) is int


def test_start_is_the_middle_of_the_default_step():
    space = HyperparameterSpace([stn.Int("a", 0, 4, default=2)])
    assert space.location.numpy()[0] == pytest.approx(0)
    values = space.sample(perturb=False).values
    assert keras.ops.convert_to_numpy(values)[0, 0] == pytest.approx(2.5)


@pytest.mark.parametrize("arguments", [{"default": 0}, {}])
def test_a_start_at_0_is_the_middle_of_its_step(arguments):
    holes = stn.Int("a", 0, 4, **arguments)
    assert (holes.default, holes.requested_default) == (0, 0)
    values = HyperparameterSpace([holes]).sample(perturb=False).values
    assert keras.ops.convert_to_numpy(values)[0, 0] == pytest.approx(0.5)


def test_layers_get_whole_numbers_rounded_down():
    logits = [math.log(v / (5 - v)) for v in (0.9, 1.1, 1.9, 4.5)]
    values = values_at(stn.Int("a", 0, 4), logits)
    np.testing.assert_array_equal(values, [0, 1, 1, 4])


def test_negative_values_are_rounded_down():
    values = values_at(stn.Int("a"), [-1.5, -0.5, 0.5])
    np.testing.assert_array_equal(values, [-2, -1, 0])


@pytest.mark.parametrize("sampling", ["linear", "log"])
def test_values_stay_in_the_range_far_out(sampling):
    hyperparameter = stn.Int("a", 1, 4, sampling=sampling)
    values = values_at(hyperparameter, [-200.0, 200.0])
    np.testing.assert_array_equal(values, [1, 4])


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_value": 0, "max_value": 10000, "default": 0},
        {"min_value": 0, "max_value": 10000, "default": 10000},
        {"min_value": 1, "max_value": 1000, "default": 1000, "sampling": "log"},
    ],
)
def test_clip_leaves_the_starting_value_of_a_wide_range_alone(arguments):
    space = HyperparameterSpace([stn.Int("a", **arguments)])
    space.location.assign(space.clip(space.location))
    assert space.values()["a"] == arguments["default"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"min_value": 0, "max_value": 4, "default": 1},
        {"min_value": -3, "scale": 0.1, "per_example": False},
        {"max_value": -1},
        {"sampling": "log"},
        {"min_value": 2, "max_value": 9, "sampling": "log"},
        {"max_value": 9, "sampling": "log"},
        {"min_value": np.int64(0), "max_value": np.int64(4)},
        {"min_value": 0.0, "max_value": 4.0, "default": 2.0},
    ],
)
def test_serialization_round_trip_gives_an_equal_one(arguments):
    hyperparameter = stn.Int("a", **arguments)
    config = keras.saving.serialize_keras_object(hyperparameter)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is stn.Int
    assert again == hyperparameter
    assert again.get_config() == hyperparameter.get_config()
    assert (again.low, again.high) == (hyperparameter.low, hyperparameter.high)


def test_config_names_every_argument_as_it_was_given():
    config = {
        "name": "a",
        "min_value": 2,
        "max_value": 5,
        "default": 3,
        "sampling": "log",
        "scale": 0.1,
        "per_example": False,
    }
    assert stn.Int(**config).get_config() == config
    assert type(stn.Int(**config).get_config()["max_value"]) is int


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": ""}, "`name` must be a non-empty string"),
        ({"sampling": "uniform"}, "'linear' or 'log'.*'uniform'"),
        (
            {"min_value": 0.5},
            "`min_value` of the hyperparameter 'a' must be an integer or "
            "`None`. Received: min_value=0.5",
        ),
        ({"max_value": 4.5}, "`max_value` .* an integer.*4.5"),
        ({"default": 1.5}, "`default` .* an integer.*1.5"),
        ({"default": math.nan}, "`default` .* an integer.*nan"),
        ({"max_value": INF}, "`max_value` .* an integer.*inf"),
        ({"default": True}, "`default` .* an integer.*True"),
        ({"min_value": "1"}, "`min_value` .* an integer.*'1'"),
        ({"min_value": 3, "max_value": 3}, "must be less than `max_value`"),
        (
            {"min_value": 0, "max_value": 4, "default": 5},
            "must lie in its range. Received: default=5, min_value=0, "
            "max_value=4",
        ),
        (
            {"min_value": 0, "sampling": "log"},
            "`min_value` .* positive with sampling='log'",
        ),
        (
            {"min_value": 1, "default": 0, "sampling": "log"},
            "`default` .* positive with sampling='log'; use `None`",
        ),
        ({"scale": 0}, "`scale` .* positive number"),
    ],
)
def test_unusable_argument_is_refused_with_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        stn.Int(**{"name": "a", **arguments})
