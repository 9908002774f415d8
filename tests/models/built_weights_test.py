"""Weights that an evaluation builds once, and nobody reads behind it.

Of responses that are not centred: the others are silent in an evaluation.
"""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6, 4)).astype("float32")
Y = RNG.integers(0, 3, size=24)
BATCH_SIZE = 8
BATCHES = len(X) // BATCH_SIZE


def penalty():
    return stn.regularizers.L2(stn.Float("l2", 1e-3, 1.0, 0.3, "log"))


def flat():
    return [
        keras.layers.Flatten(),
        stn.layers.HyperDense(8, "relu", kernel_regularizer=penalty()),
    ]


def convolutional():
    return [
        stn.layers.HyperConv1D(5, 3, activation="relu", padding="same"),
        stn.layers.HyperSeparableConv1D(6, 2, use_bias=False),
        stn.layers.HyperDepthwiseConv1D(2),
        keras.layers.GlobalAveragePooling1D(),
    ]


def recurrent():
    return [
        stn.layers.HyperLSTM(5, return_sequences=True),
        stn.layers.HyperGRU(4),
    ]


def attentive():
    inputs = keras.Input((6, 4))
    layer = stn.layers.HyperMultiHeadAttention(2, 3)
    network = keras.Model(inputs, layer(inputs, inputs))
    return [network, keras.layers.GlobalAveragePooling1D()]


NETWORKS = (flat, convolutional, recurrent, attentive)


def make_network(body=flat, dtype="float32", is_unbuilt=False):
    keras.config.set_dtype_policy(dtype)
    try:
        return keras.Sequential(
            [
                *([] if is_unbuilt else [keras.Input((6, 4))]),
                *body(),
                stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, 0.2)),
                stn.layers.HyperDense(3, dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")


def make_model(network=None, preset="paper", **kwargs):
    network = make_network() if network is None else network
    model = stn.SelfTuningModel(network, train_steps=1, groups=4, preset=preset)
    kwargs.setdefault("run_eagerly", not kwargs.get("jit_compile", False))
    model.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **kwargs,
    )
    if model.built:
        open_gates(model)
    return model


def open_gates(model):
    """Lets the response matter as much as the rest of the weights."""
    for variable in model.network.trainable_variables:
        if variable.name.endswith("_gate"):
            variable.assign(RNG.normal(size=variable.shape))


def evaluate(model, **kwargs):
    return model.evaluate(
        X, Y, BATCH_SIZE, verbose=0, return_dict=True, **kwargs
    )


def predict(model, **kwargs):
    return model.predict(X, BATCH_SIZE, verbose=0, **kwargs)


def predict_by_batches(model):
    """Predictions for each of which the weights are built."""
    return np.concatenate(
        [model.predict_on_batch(x) for x in np.split(X, BATCHES)]
    )


def evaluate_by_batches(model):
    """The mean loss of batches for each of which the weights are built."""
    batches = zip(np.split(X, BATCHES), np.split(Y, BATCHES))
    return np.mean(
        [model.test_on_batch(*b, return_dict=True)["loss"] for b in batches]
    )


def kernel(model):
    return model.network.layers[-1].kernel


class Do(keras.callbacks.Callback):
    """Does something to the model at one of the callback's events."""

    def __init__(self, **events):
        super().__init__()
        for event, function in events.items():
            setattr(self, event, self._make(function))

    def _make(self, function):
        return lambda *args, **kwargs: function(self.model)


def clear(model):
    kernel(model).assign(ops.zeros_like(kernel(model)))


@pytest.mark.parametrize("body", NETWORKS)
@pytest.mark.parametrize(
    "how", [{}, {"run_eagerly": False}, {"preset": "auto"}]
)
def test_an_evaluation_computes_what_single_batches_do(body, how):
    model = make_model(make_network(body), **how)
    np.testing.assert_allclose(
        predict(model), predict_by_batches(model), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        evaluate(model)["loss"], evaluate_by_batches(model), rtol=1e-5
    )


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_xla_reads_the_same_weights(preset):
    model = make_model(preset=preset, jit_compile=True)
    expected = model(X, training=False)
    np.testing.assert_allclose(predict(model), expected, rtol=1e-4, atol=1e-5)
    plain = make_model(model.network, preset)
    np.testing.assert_allclose(
        evaluate(model)["loss"], evaluate(plain)["loss"], rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_weights_are_built_in_the_layers_precision(dtype):
    model = make_model(make_network(dtype=dtype))
    np.testing.assert_allclose(
        predict(model), predict_by_batches(model), rtol=0.05, atol=0.05
    )
    np.testing.assert_allclose(
        evaluate(model)["loss"], evaluate_by_batches(model), rtol=0.02
    )
    first, last = model.network.layers[1], model.network.layers[-1]
    read = model.built_weights.read
    assert read(first, "kernel", first.compute_dtype).dtype == dtype[6:]
    assert read(first, "kernel", "float32") is None
    assert read(last, "kernel", "float32").dtype == "float32"


@pytest.mark.parametrize("how", [{}, {"run_eagerly": False}])
def test_weights_are_built_once_an_evaluation(how):
    model = make_model(**how)
    before = predict(model)
    # From the second batch on they would be others.
    after = predict(model, callbacks=[Do(on_predict_batch_end=clear)])
    np.testing.assert_array_equal(after, before)
    assert np.abs(predict(model) - before).max() > 0.1


def test_a_strategy_reads_them_as_well():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = make_model(run_eagerly=False)
    before = evaluate(model)["loss"]
    after = evaluate(model, callbacks=[Do(on_test_batch_end=clear)])["loss"]
    np.testing.assert_array_equal(after, before)
    assert evaluate(model)["loss"] != before


@pytest.mark.parametrize("how", [{}, {"run_eagerly": False}])
def test_nobody_reads_them_behind_an_evaluation(how):
    model = make_model(**how)
    evaluate(model)
    predict(model)
    model.fit(
        X, Y, BATCH_SIZE, validation_data=(X, Y), verbose=0, shuffle=False
    )
    evaluate_by_batches(model)
    before = predict_by_batches(model)
    open_gates(model)
    after = predict_by_batches(model)
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(
        after, model(X, training=False), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(predict(model), after, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        evaluate(model)["loss"], evaluate_by_batches(model), rtol=1e-5
    )


def test_hyperparameters_that_change_build_other_weights():
    model = make_model()
    before = predict(model)
    location = model.hyperparameters.location
    location.assign(location + 1.0)
    np.testing.assert_allclose(
        predict(model), predict_by_batches(model), rtol=1e-5, atol=1e-6
    )
    assert np.abs(predict(model) - before).max() > 0.1


def test_callbacks_may_change_weights_before_the_first_batch():
    model = make_model()
    seen = predict(model, callbacks=[Do(on_predict_begin=clear)])
    np.testing.assert_array_equal(seen, predict(model))


def test_a_callback_may_evaluate_with_other_weights():
    model = make_model()
    before = predict(model)
    seen = []

    def evaluate_cleared(model):
        value = ops.copy(kernel(model))
        clear(model)
        seen.append(predict(model))
        kernel(model).assign(value)

    outer = Do(on_predict_batch_end=evaluate_cleared)
    np.testing.assert_array_equal(predict(model, callbacks=[outer]), before)
    clear(model)
    assert len(seen) == BATCHES
    for prediction in seen:
        np.testing.assert_array_equal(prediction, predict(model))


def test_an_error_leaves_nothing_behind():
    model = make_model()

    def fail(model):
        raise RuntimeError("stop")

    for call, event in ((evaluate, "test"), (predict, "predict")):
        with pytest.raises(RuntimeError, match="stop"):
            call(model, callbacks=[Do(**{f"on_{event}_batch_end": fail})])
    clear(model)
    np.testing.assert_allclose(
        predict_by_batches(model), model(X, training=False), rtol=1e-5
    )


def test_a_call_by_a_callback_builds_its_own():
    model = make_model()
    calls = []

    def call(model):
        clear(model)
        calls.append(np.array(model(X, training=False)))

    predict(model, callbacks=[Do(on_predict_batch_end=call)])
    np.testing.assert_array_equal(calls[0], model(X, training=False))


def test_another_thread_builds_its_own():
    model = make_model()
    calls = []

    class Calling(keras.layers.Layer):
        def call(self, inputs):
            thread = threading.Thread(
                target=lambda: calls.append(model.built_weights.are_read)
            )
            thread.start()
            thread.join()
            calls.append(model.built_weights.are_read)
            return inputs

    model.network.add(Calling())
    calls.clear()
    predict(model)
    assert calls == [False, True] * BATCHES


def test_overlapping_evaluations_leave_nothing_behind():
    model = make_model()
    has_begun, may_end = threading.Event(), threading.Event()

    def wait(model):
        has_begun.set()
        may_end.wait(60)

    def start(model):
        if not thread.ident:
            thread.start()
        assert has_begun.wait(60)

    late = {"callbacks": [Do(on_predict_batch_end=wait)]}
    thread = threading.Thread(target=predict, args=(model,), kwargs=late)
    predict(model, callbacks=[Do(on_predict_batch_end=start)])
    may_end.set()
    thread.join()
    predict_by_batches(model)
    clear(model)
    np.testing.assert_allclose(
        predict_by_batches(model), model(X, training=False), rtol=1e-5
    )


def test_they_are_no_part_of_the_model(tmp_path):
    model = make_model()
    paths = [variable.path for variable in model.variables]
    evaluate(model)
    predict(model)
    assert [variable.path for variable in model.variables] == paths
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(predict(loaded), predict(model), rtol=1e-6)


def test_new_hyperparameters_of_a_loss_are_built_with():
    model = make_model()
    evaluate(model)
    smoothing = stn.Float("smoothing", 0.0, 0.5, 0.1)
    model.compile(
        "sgd",
        stn.losses.SparseCategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing
        ),
        run_eagerly=True,
    )
    open_gates(model)
    np.testing.assert_allclose(
        predict(model), predict_by_batches(model), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_network_may_be_built_by_its_first_batch(preset):
    network = make_network(is_unbuilt=True)
    model = make_model(network, preset, run_eagerly=False)
    assert not model.built
    expected = predict(model)
    np.testing.assert_allclose(
        expected, predict_by_batches(model), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(predict(model), expected, rtol=1e-5, atol=1e-6)
