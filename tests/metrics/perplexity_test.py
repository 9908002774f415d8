import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend import set_keras_mask

import keras_stn as stn

SHAPES = [(2, 3), (4, 1), (1, 7)]


def make_batches(num_tokens=5):
    """Labels and logits of batches of several sizes and lengths."""
    rng = np.random.default_rng(0)
    return [
        (
            rng.integers(num_tokens, size=shape).astype("int32"),
            rng.normal(size=(*shape, num_tokens)).astype("float32") * 3,
        )
        for shape in SHAPES
    ]


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def expected(batches, weights=None):
    """In float64, over all tokens alike."""
    losses = np.concatenate(
        [
            -np.log(
                np.take_along_axis(
                    softmax(logits.astype("float64")), labels[..., None], -1
                )
            ).ravel()
            for labels, logits in batches
        ]
    )
    if weights is not None:
        weights = np.concatenate([w.ravel() for w in weights])
    return np.exp(np.average(losses, weights=weights))


def make_masks():
    rng = np.random.default_rng(1)
    return [rng.random(shape) < 0.6 for shape in SHAPES]


def masked(logits, mask):
    tensor = tf.constant(logits)
    set_keras_mask(tensor, tf.constant(mask))
    return tensor


@pytest.mark.parametrize("from_logits", [False, True])
def test_every_token_counts_alike_whatever_its_batch(from_logits):
    batches = make_batches()
    metric = stn.metrics.Perplexity(from_logits)
    for labels, logits in batches:
        metric.update_state(labels, logits if from_logits else softmax(logits))
    np.testing.assert_allclose(metric.result(), expected(batches), rtol=1e-5)


def test_reset_forgets():
    (first, second, _) = make_batches()
    metric = stn.metrics.Perplexity(from_logits=True)
    assert float(metric.result()) == 0
    metric.update_state(*first)
    metric.reset_state()
    assert float(metric.result()) == 0
    metric.update_state(*second)
    np.testing.assert_allclose(metric.result(), expected([second]), rtol=1e-5)


def test_equal_chances_have_the_perplexity_of_their_number():
    metric = stn.metrics.Perplexity(from_logits=True)
    metric.update_state(np.array([1, 7]), np.zeros((2, 9)))
    np.testing.assert_allclose(metric.result(), 9, rtol=1e-6)


def test_tokens_that_a_mask_hides_do_not_count():
    batches, masks = make_batches(), make_masks()
    metric = stn.metrics.Perplexity(from_logits=True)
    for (labels, logits), mask in zip(batches, masks):
        metric.update_state(labels, masked(logits, mask))
    np.testing.assert_allclose(
        metric.result(), expected(batches, masks), rtol=1e-5
    )


@pytest.mark.parametrize("mask_token_id", [0, -1])
def test_labels_of_the_masked_token_do_not_count(mask_token_id):
    batches, masks = make_batches(), make_masks()
    metric = stn.metrics.Perplexity(True, mask_token_id)
    is_token = [
        mask if mask_token_id == -1 else labels != 0
        for (labels, _), mask in zip(batches, masks)
    ]
    for (labels, logits), mask in zip(batches, is_token):
        metric.update_state(np.where(mask, labels, mask_token_id), logits)
    np.testing.assert_allclose(
        metric.result(), expected(batches, is_token), rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 2)])
def test_weights_of_sequences_or_of_tokens_weigh(shape):
    # As many tokens as sequences: the axes must not be confused.
    rng = np.random.default_rng(2)
    labels = rng.integers(5, size=(2, 2))
    logits = rng.normal(size=(2, 2, 5)).astype("float32")
    weights = rng.random(shape).astype("float32")
    metric = stn.metrics.Perplexity(from_logits=True)
    metric.update_state(labels, logits, sample_weight=weights)
    each = np.broadcast_to(weights.reshape(2, -1), (2, 2))
    np.testing.assert_allclose(
        metric.result(), expected([(labels, logits)], [each]), rtol=1e-5
    )


def test_mask_masked_token_and_weights_act_together():
    labels, logits = make_batches()[0]
    mask = np.array([[True, True, False], [True, False, True]])
    weights = np.array([0.5, 2.0], "float32")
    hidden = labels.copy()
    hidden[1, 0] = -1
    metric = stn.metrics.Perplexity(True, mask_token_id=-1)
    metric.update_state(hidden, masked(logits, mask), sample_weight=weights)
    each = mask * weights[:, None] * (hidden != -1)
    np.testing.assert_allclose(
        metric.result(), expected([(labels, logits)], [each]), rtol=1e-5
    )


def test_predictions_of_hidden_tokens_may_be_anything():
    labels, logits = make_batches()[0]
    mask = np.array([[True, True, False], [True, False, True]])
    broken = np.where(mask[..., None], logits, np.nan)
    metric = stn.metrics.Perplexity(from_logits=True)
    metric.update_state(labels, masked(broken, mask))
    np.testing.assert_allclose(
        metric.result(), expected([(labels, logits)], [mask]), rtol=1e-5
    )
    metric.reset_state()
    metric.update_state(labels, masked(broken, np.zeros_like(mask)))
    assert float(metric.result()) == 0


def test_a_last_axis_of_one_in_the_labels_is_dropped():
    batches = make_batches()
    metric = stn.metrics.Perplexity(from_logits=True)
    for labels, logits in batches:
        metric.update_state(labels[..., None], logits)
    np.testing.assert_allclose(metric.result(), expected(batches), rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_agree_with_eager(jit_compile):
    batches, masks = make_batches(), make_masks()
    metric = stn.metrics.Perplexity(True, mask_token_id=0)

    @tf.function(jit_compile=jit_compile)
    def update(labels, logits, mask):
        set_keras_mask(logits, mask)
        metric.update_state(labels, logits)
        return metric.result()

    for (labels, logits), mask in zip(batches, masks):
        result = update(*map(tf.constant, (labels, logits, mask)))
    weights = [m & (labels != 0) for m, (labels, _) in zip(masks, batches)]
    np.testing.assert_allclose(result, expected(batches, weights), rtol=1e-5)


def test_mixed_precision_is_summed_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        metric = stn.metrics.Perplexity(from_logits=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {v.dtype for v in metric.variables} == {"float32"}
    # A float16 count would stop at 2048.
    logits = tf.zeros((1000, 5), "float16")
    for _ in range(5):
        metric.update_state(np.zeros(1000, "int32"), logits)
    assert float(metric.count) == 5000
    np.testing.assert_allclose(metric.result(), 5, rtol=1e-6)


def make_model(*last_layers):
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(6, 4, mask_zero=True),
            keras.layers.LSTM(4, return_sequences=True),
            *last_layers,
        ]
    )


def make_padded():
    """Five sequences, so that the last batch of two is smaller."""
    rng = np.random.default_rng(3)
    x = rng.integers(1, 6, size=(5, 7)).astype("int32")
    y = rng.integers(1, 6, size=(5, 7)).astype("int32")
    for row, size in enumerate((7, 3, 5, 1, 2)):
        x[row, size:] = y[row, size:] = 0
    return x, y


@pytest.mark.parametrize("jit_compile", [False, True])
def test_evaluation_of_padded_text_counts_words_only(jit_compile):
    model, (x, y) = make_model(keras.layers.Dense(6)), make_padded()
    model.compile(
        "sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[stn.metrics.Perplexity(from_logits=True)],
        weighted_metrics=[stn.metrics.Perplexity(True, name="weighted")],
        jit_compile=jit_compile,
    )
    # Keras's losses take weights beside a mask with all axes only.
    weights = np.array([[1], [2], [3], [4], [5]], "float32")
    history = model.fit(x, y, sample_weight=weights, batch_size=2, verbose=0)
    assert np.isfinite(history.history["perplexity"]).all()
    logs = model.evaluate(
        x, y, sample_weight=weights, batch_size=2, verbose=0, return_dict=True
    )
    batch = (y, model.predict(x, verbose=0))
    np.testing.assert_allclose(
        logs["perplexity"], expected([batch], [x != 0]), rtol=1e-5
    )
    np.testing.assert_allclose(
        logs["weighted"],
        expected([batch], [(x != 0) * weights]),
        rtol=1e-5,
    )


def test_a_self_tuning_model_logs_it():
    x, y = make_padded()
    network = make_model(
        stn.layers.Dropout(stn.Float("rate", 0.0, 0.5, default=0.1)),
        stn.layers.HyperDense(6),
    )
    model = stn.SelfTuningModel(network)
    model.compile(
        "sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[stn.metrics.Perplexity(from_logits=True)],
    )
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    batch = (y, model.predict(x, verbose=0))
    np.testing.assert_allclose(
        history["val_perplexity"][0], expected([batch], [x != 0]), rtol=1e-5
    )


def test_configuration_makes_the_same_metric_again():
    metric = stn.metrics.Perplexity(True, 3, dtype="float64", name="ppl")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is stn.metrics.Perplexity
    assert again.get_config() == metric.get_config()
    assert (again.from_logits, again.mask_token_id) == (True, 3)
    assert (again.dtype, again.name) == ("float64", "ppl")


def test_callbacks_know_that_smaller_is_better():
    model, (x, y) = make_model(keras.layers.Dense(6)), make_padded()
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[stn.metrics.Perplexity(from_logits=True)],
    )
    stop = keras.callbacks.EarlyStopping("val_perplexity", patience=1)
    history = model.fit(
        x, y, validation_data=(x, y), epochs=4, callbacks=[stop], verbose=0
    )
    assert len(history.epoch) == 2
