"""The dropout of the attention probabilities, with a rate per example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from tests.layers.attention.attention_cases import inputs
from tests.layers.attention.attention_cases import projections
from tests.layers.attention.attention_cases import rate
from tests.layers.attention.attention_cases import sample_rows
from tests.layers.samples import Providing
from tests.layers.samples import sample_at
from tests.numerics import to_numpy


def make_transparent(case, size, dropout, **arguments):
    """A layer whose output is its uniform attention probabilities."""
    layer = case.make(
        dropout=dropout,
        use_bias=False,
        seed=1,
        **case.one_head(size),
        **arguments,
    )
    layer.build((None, size, size), (None, size, size))
    for projection in projections(layer):
        kernel = np.eye(size).reshape(projection.kernel.shape)
        if projection.name == "query":
            kernel = 0 * kernel
        projection.kernel.assign(kernel)
    return layer


def dropped(layer, size, rates, **kwargs):
    """The attention probabilities of examples, times their number."""
    x = np.eye(size, dtype="float32")[None].repeat(len(rates), 0)
    sample = sample_at(rate(), rates)
    y, scores = layer(
        x, x, hyperparameters=sample, return_attention_scores=True, **kwargs
    )
    np.testing.assert_allclose(to_numpy(scores), 1 / size, rtol=1e-5)
    return to_numpy(y) * size


def test_drop_frequencies_match_the_rates_of_the_examples(case):
    size, rates = 64, np.float32([0.01, 0.1, 0.5, 0.9])
    layer = make_transparent(case, size, rate())
    y = dropped(layer, size, rates, training=True)
    deviation = (rates * (1 - rates) / size**2) ** 0.5
    share = (y == 0).mean((1, 2))
    assert np.all(np.abs(share - rates) < 5 * deviation)
    for example, each in zip(y, rates):
        kept = example[example != 0]
        np.testing.assert_allclose(kept, 1 / (1 - each), rtol=1e-4)


def test_nothing_is_dropped_without_training(case):
    layer = make_transparent(case, 16, rate())
    for training in (False, None):
        y = dropped(layer, 16, [0.5, 0.9], training=training)
        np.testing.assert_allclose(y, 1, rtol=1e-5)


def test_without_a_sample_the_rate_is_the_starting_value(case):
    size = 64
    layer = make_transparent(case, size, rate(default=0.3))
    x = np.eye(size, dtype="float32")[None]
    y = to_numpy(layer(x, x, training=True))
    assert (y == 0).mean() == pytest.approx(0.3, abs=5 * 0.46 / size)


# BUG: Keras leaves the dropout layer out where its number is 0.
def test_rate_that_starts_at_zero_drops_once_it_is_larger(case):
    layer = make_transparent(case, 64, rate(default=0.0))
    y = dropped(layer, 64, [0.5], training=True)
    assert 0.4 < (y == 0).mean() < 0.6


def test_drops_are_those_of_keras_with_its_seed(case):
    layer, keras_layer = case.pair(
        {"dropout": rate(), "seed": 7}, {"dropout": 0.3, "seed": 7}
    )
    np.testing.assert_allclose(
        to_numpy(layer(*inputs(), training=True)),
        to_numpy(keras_layer(*inputs(), training=True)),
        rtol=1e-5,
        atol=1e-5,
    )


def test_number_keeps_the_fused_computation_of_keras(case, monkeypatch):
    calls = []
    fused = keras.src.ops.dot_product_attention
    monkeypatch.setattr(
        keras.src.ops,
        "dot_product_attention",
        lambda *args, **kwargs: calls.append(0) or fused(*args, **kwargs),
    )
    for dropout, count in ((0.0, 1), (0.1, 0), (rate(), 0)):
        calls.clear()
        layer = case.build(dropout=dropout)
        layer(*inputs(), hyperparameters=sample_rows(), training=True)
        assert len(calls) == count


def test_flash_attention_with_tuned_dropout_is_refused(case):
    message = "Dropout is not supported when flash attention is enabled"
    with pytest.raises(ValueError, match=message):
        case.make(dropout=rate(), flash_attention=True)


def test_range_beyond_one_is_refused(case):
    dropout = stn.Float("rate", 0.0, 2.0)
    message = "`dropout` must lie between 0 and 1.*Received: dropout="
    with pytest.raises(ValueError, match=message):
        case.make(dropout=dropout)


def test_rate_is_the_models_in_training(case):
    layer = make_transparent(case, 32, rate(), name="attention")
    inputs = keras.Input((32, 32))
    network = keras.Model(inputs, layer(inputs, inputs))
    x = np.eye(32, dtype="float32")[None].repeat(2, 0)
    for value in (0.1, 0.8):
        model = Providing(network, sample_at(rate(), [value]))
        y = to_numpy(tf.function(model)(x, training=True))
        assert (y == 0).mean() == pytest.approx(value, abs=0.06)
