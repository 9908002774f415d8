import threading

import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters.step import Step
from keras_stn.hyperparameters.step import current_sample
from keras_stn.hyperparameters.step import current_step
from keras_stn.hyperparameters.step import current_values
from keras_stn.hyperparameters.step import entered
from keras_stn.hyperparameters.step import sampled
from tests.layers.samples import sample_at

RATE = stn.Float("rate", 0.0, 1.0, default=0.2)
COUNT = stn.Int("count", 0, 4, default=1)


def test_the_sample_of_a_call_goes_before_that_of_the_step():
    outer, inner = sample_at(RATE, [0.1]), sample_at(RATE, [0.9])
    with entered(Step("training", None, outer)) as step:
        assert current_step() is step and current_sample() is outer
        with sampled(inner):
            assert current_sample() is inner
        assert current_sample() is outer
    assert current_step() is None and current_sample() is None


def test_an_error_leaves_nothing_behind():
    with pytest.raises(KeyError):
        with entered(Step("training", None)), sampled(sample_at(RATE, [0.1])):
            raise KeyError
    assert current_step() is None and current_sample() is None


def test_every_thread_has_its_own():
    seen = []
    with entered(Step("training", None, sample_at(RATE, [0.1]))):
        thread = threading.Thread(
            target=lambda: seen.extend((current_step(), current_sample()))
        )
        thread.start()
        thread.join()
    assert seen == [None, None]


def test_values_are_the_rows_or_the_starting_value_or_the_number():
    with sampled(sample_at(RATE, [0.1, 0.4])):
        np.testing.assert_allclose(current_values(RATE), [0.1, 0.4])
        np.testing.assert_allclose(current_values(0.3), [0.3])
        with pytest.raises(ValueError, match="'count'"):
            current_values(COUNT)
    np.testing.assert_allclose(current_values(RATE), [0.2])


def test_an_integer_comes_rounded_down():
    with sampled(sample_at(COUNT, [2.7])):
        np.testing.assert_allclose(current_values(COUNT), [2.0])
