import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample

DECLARATIONS = [stn.Float("rate", 0.0, 1.0), stn.Int("holes", 0, 4)]


def make_sample():
    return Sample(
        tf.constant([[0.5, -1.0], [1.5, 2.0]]),
        tf.constant([[0.25, 1.75], [0.75, 3.999]]),
        DECLARATIONS,
    )


def test_groups_is_the_number_of_rows():
    assert make_sample().groups == 2


def test_groups_is_none_where_it_is_known_at_run_time_only():
    groups = []

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def build(rows):
        groups.append(Sample(rows, rows, DECLARATIONS).groups)
        return rows

    build(tf.zeros((3, 2)))
    assert groups == [None]


def test_contains_the_declared_names_alone():
    sample = make_sample()
    assert "rate" in sample
    assert "holes" in sample
    assert "other" not in sample


def test_item_is_the_column_as_layers_use_it():
    sample = make_sample()
    np.testing.assert_array_equal(sample["rate"].numpy(), [0.25, 0.75])
    np.testing.assert_array_equal(sample["holes"].numpy(), [1.0, 3.0])


def test_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="other"):
        make_sample()["other"]
