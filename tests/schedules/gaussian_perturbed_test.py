import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_stn as stn

FREE = stn.Float("free", default=3.0)
OTHER = stn.Float("other", default=3.0)
RATE = stn.Float("rate", 0.0, 0.9, default=0.05)
COUNT = stn.Int("count", 0, 100, default=50)
STEPS = 4000


def draw(schedule, hyperparameter):
    """The values at many steps, as an array."""

    @tf.function
    def draw_all():
        return tf.map_fn(
            lambda step: schedule(step, hyperparameter),
            tf.range(STEPS, dtype="int64"),
            fn_output_signature="float32",
        )

    return draw_all().numpy()


@pytest.fixture(scope="module")
def draws():
    return draw(stn.schedules.GaussianPerturbed(0.5, seed=1), FREE)


def test_noise_is_normal_about_the_value(draws):
    z = (draws - 3.0) / 0.5
    assert abs(z.mean()) < 4 / np.sqrt(STEPS)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * STEPS)
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3


def test_noise_of_successive_steps_is_independent(draws):
    z = draws - draws.mean()
    for lag in (1, 2, 8):
        correlation = np.mean(z[lag:] * z[:-lag]) / np.mean(z**2)
        assert abs(correlation) < 4 / np.sqrt(STEPS)


def test_noise_of_names_and_seeds_is_independent(draws):
    for schedule, hyperparameter in (
        (stn.schedules.GaussianPerturbed(0.5, seed=1), OTHER),
        (stn.schedules.GaussianPerturbed(0.5, seed=2), FREE),
    ):
        others = draw(schedule, hyperparameter)
        correlation = np.corrcoef(draws, others)[0, 1]
        assert abs(correlation) < 4 / np.sqrt(STEPS)


def test_noise_depends_on_nothing_but_seed_step_and_name(draws):
    schedule = stn.schedules.GaussianPerturbed(0.5, seed=1)
    for step in (1234, 7, 1234):
        assert float(schedule(step, FREE)) == pytest.approx(
            draws[step], abs=1e-6
        )


def test_noise_is_clipped_to_the_range():
    schedule = stn.schedules.GaussianPerturbed({"rate": 0.1}, seed=1)
    values = draw(schedule, RATE)
    assert values.min() == 0.0
    share = scipy.stats.norm.cdf(-0.5)
    assert np.mean(values == 0.0) == pytest.approx(share, abs=0.03)


def test_an_int_has_whole_values_about_its_own():
    values = draw(stn.schedules.GaussianPerturbed(3.0, seed=1), COUNT)
    np.testing.assert_array_equal(values, np.round(values))
    assert abs(values.mean() - 50) < 4 * 3 / np.sqrt(STEPS)


def test_without_a_seed_each_schedule_has_its_own():
    first, second = (stn.schedules.GaussianPerturbed(0.5) for _ in range(2))
    assert float(first(0, FREE)) != float(second(0, FREE))
