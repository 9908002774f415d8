import math

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace

INF = math.inf


def test_range_is_kept():
    rate = stn.Float("rate", 0.1, 0.9, default=0.3)
    assert (rate.low, rate.high, rate.default) == (0.1, 0.9, 0.3)


def test_missing_ends_are_infinite():
    assert (stn.Float("a").low, stn.Float("a").high) == (-INF, INF)


def test_missing_lower_end_is_zero_with_log_sampling():
    penalty = stn.Float("a", sampling="log")
    assert (penalty.low, penalty.high) == (0.0, INF)


@pytest.mark.parametrize(
    "arguments, default",
    [
        ({"min_value": 2.0, "max_value": 4.0}, 2.02),
        ({"min_value": 2.0}, 2.01),
        ({"max_value": 4.0}, 3.99),
        ({}, 0.0),
        ({"sampling": "log"}, 1.0),
        (
            {"min_value": 1e-6, "max_value": 1e-2, "sampling": "log"},
            1e-6 * 1e4**0.01,
        ),
        ({"min_value": 1e-6, "sampling": "log"}, 1e-6 * math.exp(0.01)),
        ({"max_value": 1e-2, "sampling": "log"}, 1e-2 * math.exp(-0.01)),
    ],
)
def test_default_when_none_is_given(arguments, default):
    assert stn.Float("a", **arguments).default == pytest.approx(default, 1e-12)


@pytest.mark.parametrize(
    "arguments, default",
    [
        ({"min_value": 0.0, "max_value": 0.9, "default": 0.0}, 0.009),
        ({"min_value": 0.0, "max_value": 0.9, "default": 0.008}, 0.009),
        ({"min_value": 0.0, "max_value": 0.9, "default": 0.9}, 0.891),
        ({"min_value": 1.0, "default": 1.001}, 1.01),
        ({"max_value": 1.0, "default": 0.999}, 0.99),
        (
            {"min_value": 1.0, "default": 1.0, "sampling": "log"},
            math.exp(0.01),
        ),
        (
            {
                "min_value": 1e-7,
                "max_value": 1e-1,
                "default": 0.0,
                "sampling": "log",
            },
            1e-7 * 1e6**0.01,
        ),
        (
            {"min_value": 1e-7, "default": 0, "sampling": "log"},
            1e-7 * math.exp(0.01),
        ),
    ],
)
def test_default_near_an_end_is_moved_inside(arguments, default):
    declaration = stn.Float("a", **arguments)
    assert declaration.default == pytest.approx(default, 1e-12)
    assert declaration.requested_default == arguments["default"]
    # A gradient can move it: it is not where tuning is bounded.
    assert -8 < declaration.unconstrained_default < 8
    space = HyperparameterSpace([declaration])
    assert space.values()["a"] == pytest.approx(default, 1e-4)


@pytest.mark.parametrize("sampling", ["linear", "log"])
def test_no_default_asks_for_the_lower_end(sampling):
    declaration = stn.Float("a", 0.1, 0.9, sampling=sampling)
    assert declaration.requested_default == 0.1
    assert declaration == stn.Float("a", 0.1, 0.9, 0.1, sampling)


def test_an_inner_default_is_what_was_asked_for():
    assert stn.Float("a", 0.0, 0.9, default=0.3).requested_default == 0.3
    assert stn.Float("a", sampling="log").requested_default == 1.0
    assert stn.Float("a").requested_default == 0.0


@pytest.mark.parametrize(
    "ends, sampling", [((0.0, 0.9), "linear"), ((1e-7, 1e-1), "log")]
)
def test_what_was_asked_for_is_kept_in_the_configuration(ends, sampling):
    declaration = stn.Float("a", *ends, default=0.0, sampling=sampling)
    config = keras.saving.serialize_keras_object(declaration)
    again = keras.saving.deserialize_keras_object(config)
    assert again == declaration
    assert again.requested_default == 0.0
    assert again.default == declaration.default


def test_a_configuration_that_has_the_moved_default_gives_an_equal_one():
    declaration = stn.Float("a", 0.0, 0.9, default=0.0)
    config = {**declaration.get_config(), "default": declaration.default}
    again = stn.Float.from_config(config)
    assert again == declaration
    assert hash(again) == hash(declaration)
    assert again.requested_default == again.default == declaration.default
    assert len(HyperparameterSpace([declaration, again]).declarations) == 1


@pytest.mark.parametrize("default", [0.0091, 0.3, 0.89])
def test_default_away_from_the_ends_is_kept_exactly(default):
    assert stn.Float("a", 0.0, 0.9, default=default).default == default


@pytest.mark.parametrize("default", [1e-6, 1e-4, 1.23e-2])
def test_default_is_kept_exactly_with_log_sampling(default):
    penalty = stn.Float("a", 1e-7, 1e-1, default=default, sampling="log")
    assert penalty.default == default


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_value": 0.0, "max_value": 0.9, "default": 0.05},
        {"min_value": -3.0, "default": 10.0},
        {"max_value": 3.0, "default": -10.0},
        {"default": -4.5},
        {
            "min_value": 1e-7,
            "max_value": 0.1,
            "default": 1e-4,
            "sampling": "log",
        },
        {"min_value": 1e-7, "default": 1e-4, "sampling": "log"},
        {"max_value": 0.1, "default": 1e-3, "sampling": "log"},
        {"default": 1e-3, "sampling": "log"},
    ],
)
def test_space_starts_at_the_default(arguments):
    space = HyperparameterSpace([stn.Float("a", **arguments)])
    assert space.values()["a"] == pytest.approx(arguments["default"], 1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"default": 1e-5, "sampling": "log"},
        {"default": 3e-9, "max_value": 1.0, "sampling": "log"},
        {"default": 1e6, "min_value": 0.0},
        {"default": -1e6},
    ],
)
def test_clip_leaves_the_starting_value_alone(arguments):
    space = HyperparameterSpace([stn.Float("a", **arguments)])
    start = space.location.numpy()
    clipped = keras.ops.convert_to_numpy(space.clip(start))
    np.testing.assert_array_equal(clipped, start)


def test_random_declarations_start_at_their_default():
    random = np.random.default_rng(3)
    for _ in range(20):
        low, width = random.normal(0, 10), random.uniform(0.1, 50)
        share = random.uniform(0.02, 0.98)
        sampling = random.choice(["linear", "log"])
        low = abs(low) + 1e-3 if sampling == "log" else low
        hyperparameter = stn.Float(
            "a",
            low,
            low + width,
            default=low + share * width,
            sampling=str(sampling),
        )
        value = HyperparameterSpace([hyperparameter]).values()["a"]
        assert value == pytest.approx(
            hyperparameter.default, rel=1e-5, abs=1e-6 * (abs(low) + width)
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"min_value": 0.0, "max_value": 0.9, "default": 0.05},
        {"min_value": 0.0, "max_value": 0.9, "default": 0.9},
        {"min_value": 0, "max_value": 1},
        {"min_value": 1.5, "scale": 0.1, "per_example": False},
        {"max_value": -1.5},
        {"sampling": "log"},
        {"min_value": 1e-7, "max_value": 1e-1, "sampling": "log"},
        {"min_value": 1e-7, "sampling": "log"},
        {"max_value": 1e-1, "sampling": "log", "default": 1e-1},
        {
            "min_value": np.float32(0.25),
            "max_value": np.float32(0.75),
            "default": np.float32(0.5),
        },
    ],
)
def test_serialization_round_trip_gives_an_equal_one(arguments):
    hyperparameter = stn.Float("a", **arguments)
    config = keras.saving.serialize_keras_object(hyperparameter)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is stn.Float
    assert again == hyperparameter
    assert again.get_config() == hyperparameter.get_config()
    assert (again.low, again.high) == (hyperparameter.low, hyperparameter.high)


def test_config_names_every_argument():
    config = {
        "name": "a",
        "min_value": 0.25,
        "max_value": 0.75,
        "default": 0.5,
        "sampling": "log",
        "scale": 0.1,
        "per_example": False,
    }
    assert stn.Float(**config).get_config() == config


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": ""}, "`name` must be a non-empty string"),
        ({"name": None}, "`name` must be .* Received: name=None"),
        ({"name": 3}, "`name` must be .* Received: name=3"),
        ({"sampling": "uniform"}, "'linear' or 'log'.*'uniform'"),
        ({"sampling": None}, "'linear' or 'log'.*None"),
        (
            {"min_value": "0"},
            "`min_value` of the hyperparameter 'a' must be a finite number "
            "or `None`. Received: min_value='0'",
        ),
        ({"max_value": math.nan}, "`max_value` .* finite number.*nan"),
        ({"min_value": -INF}, "`min_value` .* finite number.*-inf"),
        ({"max_value": INF}, "`max_value` .* finite number.*inf"),
        ({"default": math.nan}, "`default` .* finite number.*nan"),
        ({"default": True}, "`default` .* finite number.*True"),
        ({"min_value": False}, "`min_value` .* finite number.*False"),
        ({"default": [0.1]}, r"`default` .* finite number.*\[0.1\]"),
        (
            {"min_value": 1.0, "max_value": 1.0},
            "must be less than `max_value`.*min_value=1.0, max_value=1.0",
        ),
        ({"min_value": 2, "max_value": 1}, "must be less than `max_value`"),
        (
            {"min_value": 0.0, "max_value": 1.0, "default": 1.5},
            "must lie in its range. Received: default=1.5, min_value=0.0, "
            "max_value=1.0",
        ),
        ({"min_value": 0.0, "default": -0.5}, "must lie in its range"),
        ({"max_value": 0.0, "default": 0.5}, "must lie in its range"),
        (
            {"min_value": 0.0, "max_value": 1.0, "sampling": "log"},
            "`min_value` .* positive with sampling='log'.*min_value=0.0",
        ),
        (
            {"max_value": -1.0, "sampling": "log"},
            "`max_value` .* positive with sampling='log'",
        ),
        (
            {"default": 0.0, "sampling": "log"},
            "`default` .* positive with sampling='log'; give a `min_value`",
        ),
        (
            {"max_value": 0.1, "default": 0.0, "sampling": "log"},
            "`default` .* positive with sampling='log'; give a `min_value`",
        ),
        (
            {"min_value": 0.0, "default": 0.0, "sampling": "log"},
            "`min_value` .* positive with sampling='log'; use `None`",
        ),
        (
            {"min_value": 1e-7, "default": -1e-9, "sampling": "log"},
            "`default` .* positive with sampling='log'; use `None`",
        ),
        (
            {"min_value": 0.1, "max_value": 0.9, "default": 0.0},
            "must lie in its range",
        ),
        ({"scale": 0.0}, "`scale` .* positive number. Received: scale=0.0"),
        ({"scale": -1}, "`scale` .* positive number"),
        ({"scale": math.nan}, "`scale` .* positive number.*nan"),
        ({"scale": INF}, "`scale` .* positive number.*inf"),
        ({"scale": "wide"}, "`scale` .* positive number.*wide"),
        ({"scale": True}, "`scale` .* positive number.*True"),
    ],
)
def test_unusable_argument_is_refused_with_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        stn.Float(**{"name": "a", **arguments})
