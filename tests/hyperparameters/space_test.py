import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

# One of each map from the real line.
MIXTURE = [
    stn.Float("both", -1.0, 3.0, default=0.5),
    stn.Float("lower", 2.0, None, default=4.0),
    stn.Float("upper", None, 1.0, default=-2.0),
    stn.Float("unbounded", default=0.3),
    stn.Float("log_both", 1e-6, 1e-1, default=1e-4, sampling="log"),
    stn.Float("log_lower", 1e-3, None, default=0.2, sampling="log"),
    stn.Float("log_upper", None, 10.0, default=0.2, sampling="log"),
    stn.Float("log_unbounded", default=0.2, sampling="log"),
    stn.Int("int_both", 0, 4, default=1),
    stn.Int("int_lower", 3, None, default=5),
    stn.Int("int_log", 1, 100, default=7, sampling="log"),
    stn.Float("other_both", 10.0, 20.0, default=15.0),
]


def gradients(space, function):
    """The value of `function()` and its gradients to λ and raw scales."""
    return value_and_gradients(function, [space.location, space.raw_scale])


class TestDeclarations:
    def test_columns_are_in_order_of_first_use(self):
        first, second = stn.Float("z", 0.0, 1.0), stn.Float("a", 0.0, 1.0)
        space = HyperparameterSpace([first, second, first])
        assert space.names == ["z", "a"]
        assert len(space) == 2

    def test_equal_declarations_share_a_column(self):
        space = HyperparameterSpace(
            [stn.Float("a", 0, 1, default=0.5), stn.Float("a", 0.0, 1.0, 0.5)]
        )
        assert space.location.shape == (1,)

    @pytest.mark.parametrize(
        "other",
        [
            stn.Float("a", 0.0, 2.0, default=0.5),
            stn.Float("a", 0.0, 1.0, default=0.4),
            stn.Int("a", 0, 1),
        ],
    )
    def test_a_name_declared_differently_is_an_error(self, other):
        first = stn.Float("a", 0.0, 1.0, default=0.5)
        with pytest.raises(ValueError, match="'a' is declared twice") as error:
            HyperparameterSpace([first, other])
        assert repr(first) in str(error.value)
        assert repr(other) in str(error.value)

    def test_space_may_be_empty(self):
        space = HyperparameterSpace([])
        assert space.sample(3).response_inputs.shape == (3, 0)
        assert space.values() == {}
        assert space.logs() == {}
        assert to_numpy(space.entropy()) == 0


class TestVariables:
    def test_neither_variable_is_trained_with_the_weights(self):
        space = HyperparameterSpace(MIXTURE)
        assert space.trainable_variables == []
        assert [v.name for v in space.variables][:2] == [
            "location",
            "raw_scale",
        ]

    def test_scale_starts_as_declared(self):
        space = HyperparameterSpace(
            [stn.Float("a", scale=0.5), stn.Float("b", scale=1e-3)]
        )
        np.testing.assert_allclose(
            to_numpy(space.scale), [0.5, 1e-3], rtol=1e-5
        )

    def test_values_start_at_the_defaults(self):
        values = HyperparameterSpace(MIXTURE).values()
        assert list(values) == [h.name for h in MIXTURE]
        for declaration in MIXTURE:
            assert values[declaration.name] == pytest.approx(
                declaration.default, rel=1e-5
            )

    @pytest.mark.parametrize(
        "policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"]
    )
    def test_everything_is_float32_under_a_half_precision_policy(self, policy):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            space = HyperparameterSpace(MIXTURE)
            sample = space.sample(groups=2)
            assert space.location.dtype == "float32"
            assert space.raw_scale.dtype == "float32"
            assert space.draw_noise(2).dtype == "float32"
            assert sample.response_inputs.dtype == "float32"
            assert sample.values.dtype == "float32"
            assert sample["both"].dtype == "float32"
            assert sample["int_both"].dtype == "float32"
            assert space.entropy().dtype == "float32"
            assert {v.dtype for v in space.logs().values()} == {tf.float32}
        finally:
            keras.config.set_dtype_policy(before)


class TestSample:
    def test_noise_is_standard_normal(self):
        space = HyperparameterSpace(MIXTURE, seed=1)
        noise = to_numpy(space.draw_noise(4000))
        assert noise.shape == (4000, len(MIXTURE))
        # Five standard errors.
        np.testing.assert_allclose(noise.mean(0), 0, atol=5 / 4000**0.5)
        np.testing.assert_allclose(noise.std(0), 1, atol=5 / 8000**0.5)
        correlation = np.corrcoef(noise.T) - np.eye(len(MIXTURE))
        np.testing.assert_allclose(correlation, 0, atol=5 / 4000**0.5)

    def test_every_draw_is_new(self):
        space = HyperparameterSpace(MIXTURE, seed=1)
        first, second = to_numpy([space.draw_noise(3), space.draw_noise(3)])
        assert np.all(first != second)

    def test_seed_repeats_the_draws(self):
        first, second, other = (
            to_numpy(HyperparameterSpace(MIXTURE, seed=s).draw_noise(3))
            for s in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, second)
        assert np.all(first != other)

    def test_every_draw_is_new_in_a_compiled_function(self):
        space = HyperparameterSpace(MIXTURE, seed=1)

        @tf.function(jit_compile=True)
        def draw():
            return space.sample(3).response_inputs

        first, second = to_numpy([draw(), draw()])
        assert np.all(first != second)

    def test_rows_are_location_plus_scaled_noise(self):
        space = HyperparameterSpace(MIXTURE)
        noise = np.random.default_rng(0).normal(size=(5, len(MIXTURE)))
        sample = space.sample(5, noise=noise.astype("float32"))
        np.testing.assert_allclose(
            to_numpy(sample.response_inputs),
            space.location.numpy() + to_numpy(space.scale) * noise,
            rtol=1e-5,
            atol=1e-6,
        )

    def test_overridden_draw_noise_is_used(self):
        class Still(HyperparameterSpace):
            def draw_noise(self, groups):
                return keras.ops.zeros((groups, len(self)))

        space = Still(MIXTURE)
        rows = to_numpy(space.sample(3).response_inputs)
        np.testing.assert_array_equal(rows, [space.location.numpy()] * 3)

    def test_groups_is_the_number_of_rows(self):
        space = HyperparameterSpace(MIXTURE)
        sample = space.sample(groups=6)
        assert sample.groups == 6
        assert sample.response_inputs.shape == (6, len(MIXTURE))
        assert sample.values.shape == (6, len(MIXTURE))
        assert sample["both"].shape == (6,)

    def test_groups_may_be_known_at_run_time_only(self):
        space = HyperparameterSpace(MIXTURE)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
        def rows(examples):
            return space.sample(tf.shape(examples)[0]).values

        assert rows(tf.zeros(4)).shape == (4, len(MIXTURE))

    def test_unperturbed_sample_is_one_row_at_the_values(self):
        space = HyperparameterSpace(MIXTURE)
        sample = space.sample(groups=6, perturb=False)
        assert sample.groups == 1
        np.testing.assert_array_equal(
            to_numpy(sample.response_inputs)[0], space.location.numpy()
        )

    def test_only_columns_not_per_example_share_their_perturbation(self):
        space = HyperparameterSpace(
            [
                stn.Float("own", 0.0, 1.0),
                stn.Float("shared", 0.0, 1.0, per_example=False),
                stn.Float("own_too", 0.0, 1.0),
            ]
        )
        rows = to_numpy(space.sample(4).response_inputs)
        for column, distinct in enumerate([4, 1, 4]):
            assert len(np.unique(rows[:, column])) == distinct

    def test_shared_column_has_the_first_rows_noise(self):
        space = HyperparameterSpace([stn.Float("a", per_example=False)])
        sample = space.sample(3, noise=np.float32([[2.0], [5.0], [7.0]]))
        np.testing.assert_allclose(to_numpy(sample["a"]), [1.0] * 3, rtol=1e-5)


class TestConstrain:
    def test_mixture_equals_each_one_alone(self):
        space = HyperparameterSpace(MIXTURE)
        rows = np.random.default_rng(0).normal(0, 3, (7, len(MIXTURE)))
        rows = rows.astype("float32")
        together = to_numpy(space.constrain(tf.constant(rows)))
        for column, declaration in enumerate(MIXTURE):
            alone = HyperparameterSpace([declaration]).constrain(
                tf.constant(rows[:, column : column + 1])
            )
            np.testing.assert_allclose(
                together[:, column], to_numpy(alone)[:, 0], rtol=1e-5
            )

    def test_values_lie_in_the_ranges(self):
        space = HyperparameterSpace(MIXTURE)
        rows = np.float32(np.linspace(-20, 20, 41))[:, None]
        sample_rows = np.repeat(rows, len(MIXTURE), axis=1)
        values = to_numpy(space.constrain(tf.constant(sample_rows)))
        for column, declaration in enumerate(MIXTURE):
            # Rounding of exp(log(end)) may step over the end.
            slack = 1e-5 * abs(declaration.low) if declaration.low else 0
            assert values[:, column].min() >= declaration.low - slack
            assert values[:, column].max() <= declaration.high * (1 + 1e-5)

    def test_log_map_is_linear_in_log_space(self):
        space = HyperparameterSpace(
            [stn.Float("a", 1e-6, 1e-2, sampling="log")]
        )
        value = to_numpy(space.constrain(tf.zeros((1, 1))))
        np.testing.assert_allclose(value, [[1e-4]], rtol=1e-5)

    @pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 80.0])
    def test_gradients_of_a_mixture_are_finite(self, size):
        space = HyperparameterSpace(MIXTURE)
        for sign in (-1, 1):
            space.location.assign(np.full(len(MIXTURE), sign * size))
            _, (location, scale) = gradients(
                space, lambda: tf.reduce_sum(space.sample(2).values)
            )
            assert np.isfinite(location).all()
            assert np.isfinite(scale).all()

    def test_unbounded_log_leaves_large_unbounded_linear_alone(self):
        space = HyperparameterSpace(
            [stn.Float("linear"), stn.Float("log", sampling="log")]
        )
        # exp(1e4), were it taken, would be infinite and its gradient NaN.
        space.location.assign([1e4, 2.0])
        value, (location, _) = gradients(
            space,
            lambda: tf.reduce_sum(space.sample(perturb=False).values),
        )
        assert value == pytest.approx(1e4 + math.exp(2.0), rel=1e-6)
        np.testing.assert_allclose(location, [1.0, math.exp(2.0)], rtol=1e-6)

    def test_gradient_of_each_value_reaches_its_own_column_alone(self):
        space = HyperparameterSpace(MIXTURE)
        with tf.GradientTape() as tape:
            tape.watch(space.location.value)
            values = space.sample(perturb=False).values[0]
        jacobian = to_numpy(tape.jacobian(values, space.location.value))
        diagonal = np.diag(jacobian)
        assert np.all(diagonal != 0)
        np.testing.assert_array_equal(jacobian, np.diag(diagonal))

    def test_integers_have_no_gradient(self):
        space = HyperparameterSpace([stn.Int("a", 0, 4)])
        with tf.GradientTape() as tape:
            tape.watch(space.location.value)
            value = tf.reduce_sum(space.sample(perturb=False)["a"])
        gradient = tape.gradient(value, space.location.value)
        assert gradient is None or not np.any(gradient.numpy())


class TestClip:
    def test_values_inside_are_kept(self):
        space = HyperparameterSpace(MIXTURE)
        inside = np.linspace(-7.9, 7.9, len(MIXTURE)).astype("float32")
        np.testing.assert_array_equal(to_numpy(space.clip(inside)), inside)

    def test_values_outside_are_brought_to_the_bounds(self):
        space = HyperparameterSpace(MIXTURE)
        low = to_numpy(space.clip(np.full(len(MIXTURE), -100, "float32")))
        high = to_numpy(space.clip(np.full(len(MIXTURE), 100, "float32")))
        np.testing.assert_array_equal(
            low, [max(h.unconstrained_low, -100) for h in MIXTURE]
        )
        np.testing.assert_array_equal(
            high, [min(h.unconstrained_high, 100) for h in MIXTURE]
        )

    def test_bounds_are_close_to_the_ends_and_have_a_gradient(self):
        declaration = stn.Float("a", 1.0, 3.0)
        space = HyperparameterSpace([declaration])
        for far, end in ((-100.0, 1.0), (100.0, 3.0)):
            space.location.assign(space.clip(np.float32([far])))
            value, (gradient, _) = gradients(
                space, lambda: space.sample(perturb=False)["a"][0]
            )
            assert value == pytest.approx(end, abs=1e-3)
            assert gradient[0] > 1e-4


class TestLogs:
    def test_keys_are_names_and_names_of_scales(self):
        space = HyperparameterSpace(
            [stn.Float("a", 0.0, 1.0, default=0.25), stn.Int("b", 0, 4, 1)]
        )
        logs = to_numpy(space.logs())
        assert list(logs) == ["a", "b", "a_scale", "b_scale"]
        assert logs["a"] == pytest.approx(0.25)
        assert logs["b"] == 1
        assert logs["a_scale"] == pytest.approx(0.5)

    def test_values_are_python_numbers_at_the_current_location(self):
        space = HyperparameterSpace(
            [stn.Float("a", 0.0, 1.0), stn.Int("b", 0, 4)]
        )
        space.location.assign([0.0, 0.0])
        values = space.values()
        assert values == {"a": 0.5, "b": 2}
        assert [type(v) for v in values.values()] == [float, int]

    def test_entropy_is_that_of_a_normal_distribution(self):
        space = HyperparameterSpace(
            [stn.Float("a", scale=0.5), stn.Float("b", scale=2.0)]
        )
        expected = (
            math.log(0.5) + math.log(2.0) + math.log(2 * math.pi * math.e)
        )
        assert to_numpy(space.entropy()) == pytest.approx(expected, rel=1e-5)

    def test_example_in_the_documentation_shows_what_it_says(self):
        space = HyperparameterSpace([stn.Float("rate", 0.0, 1.0, default=0.5)])
        assert space.values() == {"rate": 0.5}
