import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn

RATE = stn.Float("rate", 0.0, 0.9, default=0.25)
COUNT = stn.Int("count", 0, 4, default=2)
FREE = stn.Float("free", default=3.0)
STRENGTH = stn.Float("strength", 1e-4, 1.0, default=1e-2, sampling="log")


def recorded():
    return stn.schedules.Recorded(
        {"step": [4, 6], "rate": [0.1, 0.2], "count": [1, 3]}
    )


SCHEDULES = {
    "fixed": lambda: stn.schedules.Fixed({"rate": 0.5}),
    "gaussian": lambda: stn.schedules.GaussianPerturbed(0.1, seed=3),
    "gaussian_dict": lambda: stn.schedules.GaussianPerturbed(
        {"rate": 0.1}, {"count": 3}
    ),
    "sinusoid": lambda: stn.schedules.SinusoidPerturbed(0.1, 7, {"rate": 0.5}),
    "recorded": recorded,
}


class Ramp(stn.schedules.Schedule):
    """A schedule that leaves the range at both ends."""

    def value(self, step, hyperparameter):
        return keras.ops.cast(step, "float32") - 2.5


def numbers(schedule, hyperparameter, steps):
    return [float(schedule(step, hyperparameter)) for step in steps]


def test_own_schedule_is_clipped_to_the_range():
    assert numbers(Ramp(), RATE, (0, 1, 3, 4)) == pytest.approx(
        [0.0, 0.0, 0.5, 0.9]
    )
    assert numbers(Ramp(), FREE, (0, 10)) == [-2.5, 7.5]


def test_values_of_an_int_are_the_nearest_integers_of_its_range():
    steps = range(10)
    expected = [min(max(math.floor(step - 2.5 + 0.5), 0), 4) for step in steps]
    assert numbers(Ramp(), COUNT, steps) == expected
    assert numbers(stn.schedules.Fixed(), COUNT, (0,)) == [2]


@pytest.mark.parametrize("name", SCHEDULES)
def test_configuration_gives_the_same_schedule(name):
    schedule = SCHEDULES[name]()
    config = keras.saving.serialize_keras_object(schedule)
    restored = keras.saving.deserialize_keras_object(config)
    for hyperparameter in (RATE, COUNT):
        for step in (0, 5, 6, 1000):
            assert float(restored(step, hyperparameter)) == float(
                schedule(step, hyperparameter)
            )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_computed_in_a_graph(name, jit_compile):
    schedule = SCHEDULES[name]()
    compiled = tf.function(
        lambda step: schedule(step, RATE), jit_compile=jit_compile
    )
    for step in (0, 5, 6, 2**24 + 1):
        value = compiled(tf.constant(step, "int64"))
        assert value.shape == ()
        assert value.dtype == "float32"
        assert float(value) == pytest.approx(
            float(schedule(step, RATE)), abs=1e-6
        )
    assert compiled.experimental_get_tracing_count() == 1


def test_fixed_holds_values_and_starts():
    schedule = stn.schedules.Fixed({"rate": 0.5})
    assert numbers(schedule, RATE, (0, 99)) == [0.5, 0.5]
    assert numbers(schedule, FREE, (0, 99)) == [3.0, 3.0]
    assert numbers(stn.schedules.Fixed(), STRENGTH, (0,)) == pytest.approx(
        [1e-2]
    )


@pytest.mark.parametrize("values", [{"rate": "high"}, {"rate": np.nan}, [0.5]])
def test_values_that_are_no_numbers_get_a_sentence(values):
    with pytest.raises(ValueError, match="`values` must be a dictionary"):
        stn.schedules.Fixed(values)


@pytest.mark.parametrize(
    ("argument", "schedule"),
    [
        ("values", stn.schedules.Fixed({"rat": 0.5})),
        ("values", stn.schedules.SinusoidPerturbed(0.1, 7, {"rat": 0.5})),
        ("std", stn.schedules.GaussianPerturbed({"rat": 0.5})),
        ("amplitude", stn.schedules.SinusoidPerturbed({"rat": 0.5}, 7)),
    ],
)
def test_unknown_names_get_a_sentence(argument, schedule):
    schedule.check([stn.Float("rat"), RATE])
    message = rf"`{argument}` names .* Choose among \['rate'\]"
    with pytest.raises(ValueError, match=message):
        schedule.check([RATE])
