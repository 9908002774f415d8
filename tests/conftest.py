import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_session():
    """Every test draws the same numbers, whichever ran before it."""
    keras.utils.set_random_seed(0)
    yield
    # Collecting garbage, which is the default, takes longer than most tests.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def double_precision():
    """What Keras makes in the test computes in float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
