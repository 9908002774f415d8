import pytest
import tensorflow as tf

from keras_stn.models.checks import check_strategy


def test_parameter_servers_are_refused():
    # A real one connects to its servers when it is made.
    kind = tf.distribute.ParameterServerStrategy
    with pytest.raises(ValueError, match="Received: strategy=Parameter"):
        check_strategy(kind.__new__(kind))


def test_other_strategies_are_not():
    check_strategy(tf.distribute.get_strategy())
    check_strategy(tf.distribute.MirroredStrategy(["CPU:0"]))
