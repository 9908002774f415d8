import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def fresh_session():
    """Every test draws the same numbers, whichever ran before it."""
    keras.utils.set_random_seed(0)
    yield
    # Collecting garbage, which is the default, takes longer than most tests.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(autouse=True, scope="session")
def iterators_end_at_once():
    """TensorFlow tunes no speed of data sets, which tests have no time for.

    It sometimes waits for up to a minute before it lets go of an iterator
    whose speed it tunes.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    iterate = tf.data.Dataset.__iter__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tf.data.Dataset,
            "__iter__",
            lambda dataset: iterate(dataset.with_options(options)),
        )
        yield


@pytest.fixture
def double_precision():
    """What Keras makes in the test computes in float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


# What these tests share is made by a program of their own, or by a training.
TOGETHER = (
    "tests/callbacks/replay_schedule_test.py",
    "tests/callbacks/schedule_logger_test.py",
    "tests/models/distribution_test.py",
    "tests/models/workers_test.py",
    "tests/tuners/search_results_test.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives the tests of some modules to one worker, so as to make it once."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::")[0]
            return path if path in TOGETHER else nodeid

    return Scheduling(config, log)
