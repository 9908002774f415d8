import numpy as np
import pytest

import keras_stn as stn

RATE = stn.Float("rate", 0.0, 0.9, default=0.25)
OTHER = stn.Float("other", 0.0, 1.0, default=0.25)
COUNT = stn.Int("count", 0, 4, default=2)


def test_values_are_a_sine_of_the_step():
    schedule = stn.schedules.SinusoidPerturbed(0.1, 12, {"rate": 0.5})
    steps = np.arange(30)
    for hyperparameter, mean in ((RATE, 0.5), (OTHER, 0.25)):
        np.testing.assert_allclose(
            [schedule(step, hyperparameter) for step in steps],
            mean + 0.1 * np.sin(2 * np.pi * steps / 12),
            atol=1e-6,
        )


def test_period_is_kept_at_steps_that_float32_does_not_hold():
    schedule = stn.schedules.SinusoidPerturbed(0.1, 12)
    far = 12 * 10**10
    for step in range(12):
        assert float(schedule(far + step, RATE)) == float(schedule(step, RATE))


def test_values_stay_in_the_range():
    schedule = stn.schedules.SinusoidPerturbed(1.0, 4)
    values = [float(schedule(step, RATE)) for step in range(4)]
    assert values == pytest.approx([0.25, 0.9, 0.25, 0.0])


def test_amplitudes_by_name_leave_the_others_still():
    schedule = stn.schedules.SinusoidPerturbed({"rate": 0.1}, 4)
    assert float(schedule(1, RATE)) == pytest.approx(0.35)
    assert float(schedule(1, OTHER)) == 0.25


def test_an_int_moves_in_whole_steps():
    schedule = stn.schedules.SinusoidPerturbed(1.4, 4)
    assert [float(schedule(step, COUNT)) for step in range(4)] == [2, 3, 2, 1]


@pytest.mark.parametrize("period", [0, -1, 2.5, None])
def test_period_that_is_no_positive_integer_gets_a_sentence(period):
    with pytest.raises(ValueError, match="`period` must be a positive integer"):
        stn.schedules.SinusoidPerturbed(0.1, period)


@pytest.mark.parametrize("amplitude", [-0.1, {"rate": -0.1}, "large"])
def test_amplitude_that_is_no_size_gets_a_sentence(amplitude):
    with pytest.raises(ValueError, match="`amplitude` must be"):
        stn.schedules.SinusoidPerturbed(amplitude, 4)
