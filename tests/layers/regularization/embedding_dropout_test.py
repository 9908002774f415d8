import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.layers import EmbeddingDropout
from tests.layers.samples import sample_at
from tests.numerics import to_numpy

WORDS = 40


def rate(per_example=False):
    return stn.Float("rate", 0.0, 1.0, per_example=per_example)


def make_tokens(dtype="int32"):
    random = np.random.default_rng(0)
    return random.integers(0, WORDS, (6, 50)).astype(dtype)


def test_whole_words_vanish():
    y = to_numpy(EmbeddingDropout(0.5)(np.ones((200, 7)), training=True))
    counts = np.sum(y == 0, axis=1)
    assert set(counts) == {0, 7}


def test_tables_may_have_vectors_of_other_lengths():
    tables = [np.ones((200, 7)), np.ones((200, 3))]
    y = to_numpy(EmbeddingDropout(0.5)(tables, training=True))
    np.testing.assert_array_equal(y[0][:, 0], y[1][:, 0])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("per_example, groups", [(False, 3), (True, 3)])
def test_factors_of_tokens_are_those_of_their_words(per_example, groups, dtype):
    sample = sample_at(rate(per_example), [0.2, 0.5, 0.8])
    layers = [EmbeddingDropout(rate(per_example), seed=3) for _ in range(2)]
    tokens = make_tokens(dtype)
    factors = to_numpy(layers[0].factors((WORDS,), sample))
    # Six examples, two a group.
    rows = np.arange(6) // 2 if per_example else np.zeros(6, int)
    np.testing.assert_array_equal(
        to_numpy(layers[1].factors_of(tf.constant(tokens), WORDS, sample)),
        factors[rows[:, None], tokens],
    )


def test_factors_of_tokens_at_sizes_known_at_run_time_only():
    layer = EmbeddingDropout(rate(per_example=True), seed=3)
    tokens = make_tokens()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        ]
    )
    def call(tokens, rates):
        return layer.factors_of(tokens, WORDS, sample_at(rate(), rates))

    y = to_numpy(call(tokens, tf.constant([0.0, 0.0, 1.0])))
    np.testing.assert_array_equal(y[:4], 1)
    np.testing.assert_array_equal(y[4:], 0)


def test_number_of_groups_that_does_not_divide_is_refused():
    layer = EmbeddingDropout(rate(per_example=True))
    sample = sample_at(rate(), [0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match="Received: groups=4, batch_size=6"):
        layer.factors_of(tf.constant(make_tokens()), WORDS, sample)
