"""What every dropout of weights must do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn import layers
from keras_stn.hyperparameters import Sample
from tests.layers.samples import Providing
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

SHAPE = (60, 50)

# A new layer is covered by its line here: the layer, and the shape of its
# mask for weights of `SHAPE`.
CASES = {
    "embedding_dropout": (layers.EmbeddingDropout, (60, 1)),
    "weight_drop_connect": (layers.WeightDropConnect, (60, 50)),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def make(case):
    return case[0]


@pytest.fixture
def mask_shape(case):
    return case[1]


def rate(per_example=False, low=0.0, high=1.0):
    return stn.Float("rate", low, high, default=0.4, per_example=per_example)


def weights(seed=0, dtype="float32"):
    random = np.random.default_rng(seed)
    return random.uniform(1, 2, SHAPE).astype(dtype)


def drop(layer, inputs, rates):
    sample = sample_at(layer.rate, rates)
    return to_numpy(layer(inputs, training=True, hyperparameters=sample))


class TestMask:
    @pytest.mark.parametrize("per_example", [False, True])
    @pytest.mark.parametrize("each", [0.01, 0.1, 0.5, 0.9])
    def test_drop_frequency_is_the_rate(
        self, make, mask_shape, each, per_example
    ):
        layer = make(rate(per_example), seed=1)
        sample = sample_at(layer.rate, [each, each])
        rows = 100000 // np.prod(mask_shape)
        factors = to_numpy(layer.factors((rows, *mask_shape), sample))
        for mask in factors == 0:
            deviation = (each * (1 - each) / mask.size) ** 0.5
            assert abs(mask.mean() - each) < 5 * deviation

    def test_entries_are_dropped_independently(self, make):
        factors = to_numpy(make(0.5, seed=1).factors((200, 200)))[0]
        # Counts of a row or column of 200 have the deviation of a binomial.
        for axis in (0, 1):
            count = (factors == 0).sum(axis)
            assert count.std() == pytest.approx(50**0.5, rel=0.25)
            assert np.abs(count - 100).max() < 5 * 50**0.5

    @pytest.mark.parametrize("each", [0.1, 0.5, 0.75])
    def test_what_is_kept_is_divided_by_the_keep_probability(self, make, each):
        x, sample = weights(), sample_at(rate(), [each])
        for layer in (make(each), make(rate())):
            y = layer(x, training=True, hyperparameters=sample).numpy()
            kept = y != 0
            assert 0 < kept.mean() < 1
            np.testing.assert_allclose(y[kept], x[kept] / (1 - each), rtol=1e-6)

    def test_mask_has_the_documented_shape(self, make, mask_shape):
        kept = drop(make(rate()), weights(), [0.5]) != 0
        for axis, size in enumerate(mask_shape):
            shared = np.all(kept == kept.take([0], axis))
            assert shared == (size == 1)

    def test_all_weights_of_a_list_lose_the_same_entries(self, make):
        for strength in (0.5, rate(), rate(per_example=True)):
            x = [weights(i) for i in range(3)]
            y = to_numpy(make(strength)(x, training=True))
            assert isinstance(y, list)
            factors = y[0] / x[0]
            assert 0 < np.mean(factors == 0) < 1
            for before, after in zip(x, y, strict=True):
                np.testing.assert_allclose(after, before * factors, rtol=1e-5)

    def test_every_call_draws_a_new_mask(self, make):
        layer = make(rate())
        first, second = (drop(layer, weights(), [0.5]) for _ in range(2))
        assert np.any(first != second)

    def test_seed_repeats_the_masks(self, make):
        first, second = (
            drop(make(rate(), seed=3), weights(), [0.5]) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)

    def test_rate_of_one_gives_zeros_and_finite_gradients(self, make):
        for dtype in ("float32", "mixed_float16", "mixed_bfloat16"):
            layer = make(rate(), dtype=dtype)
            x = tf.constant(weights())
            sample = sample_at(rate(), [1.0])
            outputs = []

            def loss(layer=layer, x=x, sample=sample, outputs=outputs):
                y = layer(x, training=True, hyperparameters=sample)
                outputs.append(y)
                return tf.reduce_sum(tf.cast(y, tf.float32) ** 2)

            _, (gradient,) = value_and_gradients(loss, [x])
            np.testing.assert_array_equal(to_numpy(outputs[0]), 0)
            np.testing.assert_array_equal(gradient, 0)

    def test_rate_of_zero_changes_nothing(self, make):
        x = weights()
        np.testing.assert_array_equal(to_numpy(make(0)(x, training=True)), x)
        np.testing.assert_array_equal(drop(make(rate()), x, [0.0]), x)


class TestGroups:
    def test_number_and_batch_wide_rate_give_one_mask(self, make):
        sample = sample_at(rate(), [0.5, 0.9, 0.9])
        for strength in (0.5, rate()):
            layer = make(strength)
            y = layer(weights(), training=True, hyperparameters=sample)
            assert y.shape == SHAPE
            assert layer.factors((4, 3), sample).shape == (1, 4, 3)

    def test_batch_wide_rate_is_that_of_the_first_row(self, make):
        y = drop(make(rate()), weights(), [0.0, 1.0])
        np.testing.assert_array_equal(y, weights())

    def test_rate_per_group_gives_a_mask_a_group(self, make):
        layer = make(rate(per_example=True))
        y = drop(layer, weights(), [0.0, 0.5, 0.5, 1.0])
        assert y.shape == (4, *SHAPE)
        np.testing.assert_array_equal(y[0], weights())
        np.testing.assert_array_equal(y[3], 0)
        assert np.any((y[1] != 0) != (y[2] != 0))

    def test_without_a_sample_the_rate_is_the_default(self, make):
        for per_example in (False, True):
            y = to_numpy(make(rate(per_example))(np.ones(SHAPE), training=True))
            np.testing.assert_allclose(y[y != 0], 1 / 0.6, rtol=1e-6)
            assert np.any(y == 0)

    def test_axis_of_groups_is_there_in_inference_as_well(self, make):
        layer, sample = make(rate(per_example=True)), sample_at(rate(), [0.9])
        for arguments in ({}, {"hyperparameters": sample}):
            y = to_numpy(layer([weights()], **arguments))
            np.testing.assert_array_equal(y, weights()[None, None])


class TestGradients:
    def test_gradient_to_the_weights_is_the_factors(self, make):
        layer, x = make(rate()), tf.constant(weights())
        sample = sample_at(rate(), [0.3])
        outputs = []

        def loss():
            outputs.append(layer(x, training=True, hyperparameters=sample))
            return tf.reduce_sum(outputs[0])

        _, (gradient,) = value_and_gradients(loss, [x])
        np.testing.assert_allclose(gradient, outputs[0] / x, rtol=1e-6)

    @pytest.mark.parametrize("per_example", [False, True])
    def test_rate_has_no_gradient(self, make, per_example):
        layer = make(rate(per_example))
        rates = tf.constant([[0.3], [0.5]])
        with tf.GradientTape() as tape:
            tape.watch(rates)
            sample = Sample(rates, rates, [layer.rate])
            y = layer(weights(), training=True, hyperparameters=sample)
            value = tf.reduce_sum(y)
        assert tape.gradient(value, rates) is None


class TestExecution:
    def test_inference_is_the_identity(self, make):
        x, sample = weights(), sample_at(rate(), [0.9])
        for layer in (make(rate()), make(0.5)):
            for arguments in ({}, {"training": False}):
                y = layer(x, hyperparameters=sample, **arguments)
                np.testing.assert_array_equal(to_numpy(y), x)

    @pytest.mark.parametrize("per_example", [False, True])
    def test_graph_draws_the_mask_of_eager(self, make, per_example):
        declared = rate(per_example)
        outputs = []
        for wrap in (lambda call: call, tf.function):
            layer = make(declared, seed=3)

            @wrap
            def call(x, rates, layer=layer):
                sample = sample_at(declared, rates)
                return layer(x, training=True, hyperparameters=sample)

            arguments = tf.constant(weights()), tf.constant([0.3, 0.6])
            outputs.append([to_numpy(call(*arguments)) for _ in range(2)])
        np.testing.assert_allclose(*outputs, rtol=1e-6)

    @pytest.mark.parametrize("per_example", [False, True])
    def test_compiled_code_drops_at_the_rate(self, make, per_example):
        layer = make(rate(per_example), seed=3)

        @tf.function(jit_compile=True)
        def call(x, rates):
            sample = sample_at(layer.rate, rates)
            return layer(x, training=True, hyperparameters=sample)

        x = tf.ones((1000, 40))
        y = to_numpy(call(x, tf.constant([0.3, 0.3])))
        assert (y == 0).mean() == pytest.approx(0.3, abs=0.08)
        np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-5)

    @pytest.mark.parametrize("per_example", [False, True])
    def test_number_of_groups_may_be_known_at_run_time_only(
        self, make, per_example
    ):
        layer = make(rate(per_example), seed=3)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
        def call(rates):
            sample = sample_at(layer.rate, rates)
            return layer(weights(), training=True, hyperparameters=sample)

        for groups in (1, 3):
            y = call(tf.fill((groups,), 0.5))
            leading = (groups,) if per_example else ()
            assert y.shape == (*leading, *SHAPE)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_mixed_precision_has_the_compute_dtype_and_the_rate(
        self, make, dtype
    ):
        layer = make(rate(), dtype=f"mixed_{dtype}", seed=1)
        variable = keras.Variable(weights())
        y = layer(variable, training=True)
        assert y.dtype == dtype
        # Half precision cannot tell these rates from its next ones.
        each = 0.0015
        factors = layer.factors((1000, 1000), sample_at(rate(), [each]))
        assert factors.dtype == dtype
        dropped = np.mean(to_numpy(factors) == 0)
        assert dropped == pytest.approx(each, abs=5 * (each / 1e6) ** 0.5)


class TestArguments:
    @pytest.mark.parametrize(
        "value",
        [
            -0.1,
            1.5,
            float("nan"),
            stn.Float("a", -0.1, 0.5),
            stn.Float("a", 0.0, 1.1),
            stn.Float("a", default=0.5),
            stn.Int("a", 0, 1),
        ],
        ids=str,
    )
    def test_rate_outside_is_refused_with_a_sentence(self, make, value):
        message = "must lie between 0 and 1. Received: rate="
        with pytest.raises(ValueError, match=message) as error:
            make(value)
        assert str(error.value).endswith(f"rate={value}")

    def test_weights_of_other_shapes_are_refused(self, make):
        x = [np.ones((3, 2)), np.ones((4, 2))]
        with pytest.raises(ValueError, match=r"Received: shapes=\[\(3, 2\), "):
            make(0.5)(x)

    def test_config_round_trip_keeps_the_rate(self, make):
        for strength in (0.3, rate(), rate(per_example=True)):
            layer = make(strength, seed=3, name="layer", dtype="float64")
            again = make.from_config(layer.get_config())
            assert again.get_config() == layer.get_config()
            assert again.rate == strength
            assert again.declarations == layer.declarations

    def test_saved_network_draws_the_same_masks(self, make, tmp_path):
        network = keras.Sequential(
            [keras.Input(batch_shape=SHAPE), make(rate(), seed=3)]
        )
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        sample = sample_at(rate(), [0.3])
        first, second = (
            to_numpy(Providing(n, sample)(weights(), training=True))
            for n in (network, loaded)
        )
        np.testing.assert_array_equal(first, second)
        assert np.any(first == 0)
