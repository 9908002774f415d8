"""States of stateful layers in training, tuning and evaluation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from tests.numerics import to_numpy

BATCH, LENGTH = 2, 3


@keras.saving.register_keras_serializable(package="tests")
class SumCell(keras.layers.Layer):
    """A cell whose state is the sum of all that it has seen."""

    state_size = output_size = 1

    def call(self, inputs, states):
        total = states[0] + inputs
        return total, [total]


def make_model(train_steps=2, tuning_steps=1, **compile_arguments):
    network = keras.Sequential(
        [
            keras.Input(batch_shape=(BATCH, LENGTH, 1)),
            keras.layers.RNN(SumCell(), return_sequences=True, stateful=True),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.1)),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(
        network, train_steps=train_steps, tuning_steps=tuning_steps
    )
    model.compile("sgd", loss="mse", **compile_arguments)
    return model


def make_data(segments, seed):
    x = np.random.default_rng(seed).normal(size=(segments, BATCH, LENGTH, 1))
    x = x.astype("float32")
    return x, tf.data.Dataset.from_tensor_slices((x, np.zeros_like(x)))


def state(model, kind):
    ((_, states),) = model.streams._sets[kind]
    return to_numpy(states[0])


def total(x):
    return x.sum(axis=(0, 2))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"jit_compile": True},
        {"steps_per_execution": 3},
        {"run_eagerly": True},
    ],
    ids=["graph", "xla", "several_steps", "eager"],
)
def test_each_stream_goes_on_where_it_was_left(arguments):
    model = make_model(**arguments)
    x, training = make_data(7, seed=0)
    x_val, validation = make_data(3, seed=1)
    model.fit(training, validation_data=validation, epochs=2, verbose=0)
    # Two epochs of four cycles: the eighth tuning batch is the second of the
    # third pass.
    np.testing.assert_allclose(state(model, "training"), total(x), rtol=1e-5)
    np.testing.assert_allclose(
        state(model, "evaluation"), total(x_val), rtol=1e-5
    )
    np.testing.assert_allclose(
        state(model, "tuning"), total(x_val[:2]), rtol=1e-5
    )


def test_tuning_data_start_again_within_a_cycle():
    model = make_model(train_steps=1, tuning_steps=3)
    _, training = make_data(3, seed=0)
    x_val, validation = make_data(4, seed=1)
    model.fit(training, validation_data=validation, verbose=0)
    # Nine tuning batches: two passes, and the first of the third.
    np.testing.assert_allclose(
        state(model, "tuning"), total(x_val[:1]), rtol=1e-5
    )


def test_evaluation_starts_from_zero_and_leaves_training_alone():
    model = make_model()
    x, training = make_data(4, seed=0)
    x_val, validation = make_data(3, seed=1)
    model.fit(training, validation_data=validation, verbose=0)
    first = model.evaluate(validation, verbose=0)
    assert model.evaluate(validation, verbose=0) == first
    np.testing.assert_allclose(state(model, "training"), total(x), rtol=1e-5)
    np.testing.assert_allclose(
        state(model, "evaluation"), total(x_val), rtol=1e-5
    )


def test_calls_outside_of_a_step_carry_the_state_of_evaluation():
    model = make_model()
    x, _ = make_data(2, seed=0)
    model(x[0])
    model(x[1])
    np.testing.assert_allclose(state(model, "evaluation"), total(x), rtol=1e-5)


def test_arrays_are_read_in_streams_too():
    model = make_model()
    x, _ = make_data(4, seed=0)
    x_val, _ = make_data(3, seed=1)
    flat, flat_val = (a.reshape(-1, LENGTH, 1) for a in (x, x_val))
    model.fit(
        flat,
        np.zeros_like(flat),
        batch_size=BATCH,
        shuffle=False,
        validation_data=(flat_val, np.zeros_like(flat_val)),
        epochs=2,
        verbose=0,
    )
    np.testing.assert_allclose(state(model, "training"), total(x), rtol=1e-5)
    # The fourth tuning batch is the first of the second pass.
    np.testing.assert_allclose(
        state(model, "tuning"), total(x_val[:1]), rtol=1e-5
    )


def test_states_are_not_weights():
    model = make_model()
    names = [variable.name for variable in model.variables]
    assert "rnn_state" not in names
