"""What every layer that penalizes its input must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn import layers
from tests.layers.samples import Providing
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference


def squares_of_values(x, mask):
    return x**2, mask


def squares_of_changes(x, mask):
    return np.diff(x, axis=1) ** 2, mask[:, 1:] & mask[:, :-1]


# A new layer is covered by its line here: the layer, the name of its strength
# and what it is the mean of, with the mask.
CASES = {
    "activity": (layers.ActivityRegularization, "alpha", squares_of_values),
    "temporal": (
        layers.TemporalActivityRegularization,
        "beta",
        squares_of_changes,
    ),
}

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5, 3)).astype("float32")
NO_MASK = np.ones((6, 5), bool)
MASK = np.arange(5) < np.array([5, 4, 3, 2, 1, 0])[:, None]


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def make(case):
    return case[0]


@pytest.fixture
def squares(case):
    return lambda x=X, mask=NO_MASK: case[2](x, mask)


def strength(per_example=True):
    return stn.Float("strength", 0.0, 9.0, 0.7, per_example=per_example)


def penalty(layer, x=X, rows=None, **arguments):
    """The one loss that a training call adds."""
    if rows is not None:
        arguments["hyperparameters"] = sample_at(strength(), rows)
    layer(x, training=True, **arguments)
    (loss,) = layer.losses
    return to_numpy(loss)


class TestPenalty:
    def test_strength_for_the_batch_gives_the_mean_over_all_elements(
        self, make, squares
    ):
        expected = 0.7 * squares()[0].mean()
        for layer in (make(0.7), make(strength())):
            np.testing.assert_allclose(penalty(layer), expected, rtol=1e-5)
        for rows in ([0.7], [0.7, 0.7], [0.7] * 6):
            loss = penalty(make(strength(per_example=False)), rows=rows)
            np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_each_example_has_the_strength_of_its_group(self, make, squares):
        means = squares()[0].mean(axis=(1, 2))
        strengths = np.repeat([0.0, 0.5, 2.0], 2)
        loss = penalty(make(strength()), rows=[0.0, 0.5, 2.0])
        np.testing.assert_allclose(loss, (strengths * means).mean(), rtol=1e-5)

    def test_masked_steps_do_not_count(self, make, squares):
        values, mask = squares(mask=MASK)
        strengths = np.repeat([0.5, 2.0], 3)[:, None, None]
        x = np.where(MASK[..., None], X, 1e3)
        loss = penalty(make(strength()), x, rows=[0.5, 2.0], mask=MASK)
        expected = (strengths * values)[mask].mean()
        np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_mask_of_the_input_is_used_and_passed_on(self, make, squares):
        network = keras.Sequential(
            [keras.Input((5, 3)), keras.layers.Masking(9.0), make(0.7)]
        )
        network(np.where(MASK[..., None], X, 9.0), training=True)
        values, mask = squares(mask=MASK)
        np.testing.assert_allclose(
            to_numpy(network.losses[0]), 0.7 * values[mask].mean(), rtol=1e-5
        )
        assert make(0.7).compute_mask(X, MASK) is MASK

    def test_fully_masked_batch_has_no_penalty(self, make):
        assert penalty(make(0.7), mask=~NO_MASK) == 0

    def test_inputs_of_more_axes_are_penalized(self, make, squares):
        x = RNG.normal(size=(6, 5, 2, 4)).astype("float32")
        values, mask = squares(x, MASK)
        loss = penalty(make(0.7), x, mask=MASK)
        np.testing.assert_allclose(loss, 0.7 * values[mask].mean(), rtol=1e-5)

    def test_gradient_reaches_input_and_strength(self, make, squares):
        layer = make(strength())
        x, rows = tf.constant(X), tf.constant([0.5, 2.0])

        def loss():
            sample = sample_at(strength(), rows)
            layer(x, training=True, hyperparameters=sample)
            return layer.losses[0]

        _, (grad_x, grad_rows) = value_and_gradients(loss, [x, rows])
        means = squares()[0].mean(axis=(1, 2)).reshape(2, 3)
        np.testing.assert_allclose(grad_rows, means.sum(1) / 6, rtol=1e-5)
        step = 1e-3 * RNG.normal(size=X.shape)
        difference = [
            penalty(make(strength(), dtype="float64"), X + s, [0.5, 2.0])
            for s in (step, -step)
        ]
        np.testing.assert_allclose(
            np.sum(grad_x * 2 * step), difference[0] - difference[1], rtol=1e-3
        )


class TestTrainingOnly:
    def test_output_is_the_input(self, make):
        for training in (True, False):
            y = make(strength())(X, training=training)
            np.testing.assert_array_equal(to_numpy(y), X)

    def test_inference_has_no_penalty(self, make):
        layer = make(strength())
        layer(X, training=True)
        for arguments in ({}, {"training": False}):
            layer(X, **arguments)
            assert layer.losses == []

    def test_every_call_replaces_the_penalty(self, make):
        layer = make(0.7)
        assert penalty(layer, 2 * X) == pytest.approx(4 * penalty(layer))

    def test_network_that_is_built_has_no_penalty(self, make):
        inputs = keras.Input((5, 3))
        network = keras.Model(inputs, make(0.7)(inputs, training=True))
        assert network.losses == []


class TestExecution:
    def test_eager_equals_graph_and_compiled(self, make):
        layer = make(strength())
        signature = [tf.TensorSpec((None, None, 3)), tf.TensorSpec((None,))]

        def call(x, rows):
            sample = sample_at(strength(), rows)
            layer(x, training=True, hyperparameters=sample, mask=MASK)
            return layer.losses[0]

        arguments = tf.constant(X), tf.constant([0.5, 2.0])
        expected = to_numpy(call(*arguments))
        for graph in (
            tf.function(call),
            tf.function(call, jit_compile=True),
            tf.function(call, input_signature=signature),
        ):
            np.testing.assert_allclose(graph(*arguments), expected, rtol=1e-5)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_mixed_precision_sums_in_full(self, make, dtype, squares):
        layer = make(0.7, dtype=f"mixed_{dtype}")
        # The squares of such values overflow half precision.
        x = 300 * np.tile(X, (1, 40, 1))
        y = layer(x, training=True)
        assert y.dtype == dtype
        (loss,) = layer.losses
        assert loss.dtype == "float32"
        values, _ = squares(
            to_numpy(y).astype("float32"), np.ones((6, 200)) > 0
        )
        np.testing.assert_allclose(loss, 0.7 * values.mean(), rtol=1e-5)


class TestArguments:
    @pytest.mark.parametrize(
        "value",
        [
            -0.1,
            float("nan"),
            stn.Float("a", -0.1, 0.5),
            stn.Float("a", None, 0.5),
            stn.Float("a"),
        ],
        ids=str,
    )
    def test_negative_strength_is_refused_with_a_sentence(self, case, value):
        make, name, _ = case
        message = f"`{name}` .*must lie between 0 and inf. Received: {name}="
        with pytest.raises(ValueError, match=message) as error:
            make(value)
        assert str(error.value).endswith(f"{name}={value}")

    def test_range_without_an_upper_end_is_taken(self, make):
        for declared in (
            stn.Float("a", 0.0),
            stn.Float("a", None, sampling="log"),
        ):
            assert make(declared).declarations == [declared]

    def test_config_round_trip_keeps_the_strength(self, make):
        for value in (0.3, strength(), strength(per_example=False)):
            layer = make(value, name="layer", dtype="float64")
            again = make.from_config(layer.get_config())
            assert again.get_config() == layer.get_config()
            assert again.declarations == layer.declarations

    def test_saved_network_has_the_same_penalty(self, make, tmp_path):
        network = keras.Sequential([keras.Input((5, 3)), make(strength())])
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        model = Providing(loaded, sample_at(strength(), [0.5, 2.0]))
        model(X, training=True)
        expected = penalty(make(strength()), rows=[0.5, 2.0])
        np.testing.assert_allclose(model.losses[0], expected, rtol=1e-6)


def test_one_step_has_no_temporal_penalty():
    layer = layers.TemporalActivityRegularization(0.7)
    assert penalty(layer, X[:, :1]) == 0
    assert penalty(layer, X[:, :1], mask=MASK[:, :1]) == 0


def test_input_without_an_axis_of_time_has_no_temporal_penalty():
    layer = layers.TemporalActivityRegularization(0.7)
    with pytest.raises(ValueError, match="expected min_ndim=3"):
        layer(np.ones((2, 3)))


def test_input_without_an_axis_of_time_may_be_regularized():
    loss = penalty(layers.ActivityRegularization(0.7), X[:, 0])
    np.testing.assert_allclose(loss, 0.7 * np.mean(X[:, 0] ** 2), rtol=1e-5)


@pytest.mark.parametrize("file", ["activation_reg_s501", "activation_reg_s502"])
def test_penalties_and_gradients_equal_official(file):
    arrays = load_reference(file)
    # The official sequences are time-major.
    raw = tf.constant(arrays["h_raw"].transpose(1, 0, 2), tf.float64)
    dropout = arrays["keep_mask"] / (1 - arrays["drop_probs"])
    dropout = dropout.transpose(1, 0, 2)
    alpha, beta = float(arrays["alpha"]), float(arrays["beta"])
    for layer, inputs, name in (
        (
            layers.ActivityRegularization(alpha, dtype="float64"),
            lambda: raw * dropout,
            "ar",
        ),
        (
            layers.TemporalActivityRegularization(beta, dtype="float64"),
            lambda: raw,
            "tar",
        ),
    ):

        def loss(layer=layer, inputs=inputs):
            layer(inputs(), training=True)
            return layer.losses[0]

        value, (gradient,) = value_and_gradients(loss, [raw])
        np.testing.assert_allclose(value, arrays[name], rtol=1e-10)
        np.testing.assert_allclose(
            gradient,
            arrays[f"grad_{name}/h_raw"].transpose(1, 0, 2),
            rtol=1e-10,
            atol=1e-12,
        )
