"""What every augmentation whose strength may be tuned must do."""

import dataclasses
import math

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

BATCH = 4
UNIT = {"value_range": (0, 1)}


@dataclasses.dataclass(frozen=True)
class Case:
    """Makes layers, strengths and inputs of one line of `CASES`.

    Args:
        layer_class: The layer.
        strengths: Tuple of strings, the arguments that may be tuned.
        arguments: Dictionary, its other arguments.
        top: Float, the end of the strengths' range.
        shape: Tuple of integers, the shape of one example.
        start: Float, a small strength that still has a gradient.
    """

    layer_class: type
    strengths: tuple
    arguments: dict
    top: float
    shape: tuple
    start: float = 0.01

    def hyperparameter(self, default=None):
        """A range for the strength."""
        high = 1.0 if math.isinf(self.top) else self.top
        default = self.start if default is None else default
        return stn.Float("strength", 0.0, high, default=default)

    def make(self, strength, names=None, **arguments):
        """A layer with all strengths alike, or with those of some names."""
        strengths = dict.fromkeys(names or self.strengths, strength)
        return self.layer_class(**strengths, **self.arguments, **arguments)

    def make_tuned(self, **arguments):
        """A layer all of whose strengths are one hyperparameter."""
        return self.make(self.hyperparameter(), **arguments)

    def sample(self, values, dtype="float32"):
        """Strengths between 0 and 1, of the range."""
        high = self.hyperparameter().high
        values = high * keras.ops.convert_to_tensor(values, dtype)
        return sample_at(self.hyperparameter(), values, dtype)

    def inputs(self, batch_size=BATCH):
        shape = (batch_size, *self.shape)
        random = np.random.default_rng(1)
        return random.uniform(0.1, 0.9, shape).astype("float32")


# A new layer is covered by its line here.
CASES = {
    "translation": Case(
        layers.RandomTranslation,
        ("height_factor", "width_factor"),
        {},
        1.0,
        (8, 10, 3),
    ),
    "translation_constant": Case(
        layers.RandomTranslation,
        ("height_factor", "width_factor"),
        {"fill_mode": "constant", "fill_value": 0.5},
        1.0,
        (8, 10, 1),
    ),
    "zoom": Case(
        layers.RandomZoom,
        ("height_factor", "width_factor"),
        {},
        1.0,
        (8, 10, 3),
    ),
    "rotation": Case(layers.RandomRotation, ("factor",), {}, 1.0, (8, 10, 3)),
    "shear": Case(
        layers.RandomShear, ("x_factor", "y_factor"), {}, 1.0, (8, 10, 3)
    ),
    # A narrow Gaussian has no gradient.
    "gaussian_blur": Case(
        layers.RandomGaussianBlur,
        ("sigma",),
        {"factor": (1, 1), **UNIT},
        1.0,
        (8, 10, 3),
        start=0.4,
    ),
    "hue": Case(layers.RandomHue, ("factor",), UNIT, 1.0, (8, 10, 3)),
    "saturation": Case(
        layers.RandomSaturation, ("factor",), UNIT, 1.0, (8, 10, 3)
    ),
    "brightness": Case(
        layers.RandomBrightness, ("factor",), UNIT, 1.0, (8, 10, 3)
    ),
    "contrast": Case(layers.RandomContrast, ("factor",), UNIT, 1.0, (8, 10, 3)),
    "input_scale": Case(
        layers.RandomInputScale, ("factor",), {}, math.inf, (8, 10, 3)
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


class TestStrength:
    def test_number_zero_changes_nothing(self, case):
        x = case.inputs()
        y = to_numpy(case.make(0.0)(x, training=True))
        np.testing.assert_allclose(y, x, atol=1e-6)

    def test_declares_its_hyperparameter(self, case):
        assert case.make(0.3).declarations == []
        declarations = case.make_tuned().declarations
        assert declarations == [case.hyperparameter()] * len(case.strengths)

    def test_without_a_sample_the_strength_is_the_default(self, case):
        x = case.inputs()
        y, expected = (
            to_numpy(case.make(strength, seed=3)(x, training=True))
            for strength in (case.hyperparameter(default=0.8), 0.8)
        )
        np.testing.assert_allclose(y, expected, atol=1e-6)
        assert np.any(np.abs(y - x) > 0.01)

    def test_inference_is_the_identity(self, case):
        layer = case.make_tuned()
        x = case.inputs()
        sample = case.sample([0.9])
        for y in (layer(x), layer(x, training=False, hyperparameters=sample)):
            np.testing.assert_array_equal(to_numpy(y), x)

    def test_example_of_no_strength_stays_beside_one_of_much(self, case):
        x = case.inputs()
        sample = case.sample([0.0, 0.9, 1e-9, 0.9])
        y = to_numpy(
            case.make_tuned(seed=3)(x, training=True, hyperparameters=sample)
        )
        np.testing.assert_allclose(y[[0, 2]], x[[0, 2]], atol=1e-5)
        for i in (1, 3):
            assert np.any(np.abs(y[i] - x[i]) > 0.01)

    def test_group_shares_its_strength_and_not_its_draw(self, case):
        # The same image four times.
        x = np.repeat(case.inputs(1), BATCH, axis=0)
        sample = case.sample([0.0, 0.9])
        y = to_numpy(
            case.make_tuned(seed=3)(x, training=True, hyperparameters=sample)
        )
        np.testing.assert_allclose(y[:2], x[:2], atol=1e-6)
        assert np.any(np.abs(y[2] - y[3]) > 0.001)

    def test_every_call_draws_anew(self, case):
        layer = case.make_tuned(seed=3)
        x = case.inputs()
        first, second = (
            to_numpy(
                layer(x, training=True, hyperparameters=case.sample([0.9]))
            )
            for _ in range(2)
        )
        assert np.any(np.abs(first - second) > 0.001)

    def test_what_is_no_strength_is_refused_with_a_sentence(self, case):
        name = case.strengths[0]
        for value in (-0.1, math.nan, "much", (0.1,)):
            with pytest.raises(ValueError, match=f"Received: {name}="):
                case.make(value)

    def test_range_outside_is_refused_with_a_sentence(self, case):
        ranges = [stn.Float("a", -0.1, 0.5)]
        if math.isfinite(case.top):
            ranges.append(stn.Float("a", 0.0, case.top + 0.1))
        name = case.strengths[0]
        for hyperparameter in ranges:
            message = f"The range of `{name}` must .* Received: {name}="
            with pytest.raises(ValueError, match=message):
                case.make(hyperparameter)


class TestGradients:
    """In float64, with the same draw every time."""

    def losses(self, case, x, values, **arguments):
        """A number for each example, which every pixel goes into."""
        layer = case.make_tuned(seed=3, **arguments)
        sample = case.sample(values, layer.compute_dtype)
        y = layer(x, training=True, hyperparameters=sample)
        weights = np.random.default_rng(2).normal(size=x.shape)
        return tf.reduce_sum(tf.cast(weights, y.dtype) * y, axis=[1, 2, 3])

    def gradient(self, case, x, values, source, **arguments):
        def loss():
            return tf.reduce_sum(self.losses(case, x, values, **arguments))

        return value_and_gradients(loss, [source])[1][0]

    def test_strengths_gradient_equals_finite_differences(self, case):
        x = tf.constant(case.inputs(), "float64")
        values = tf.constant([0.3, 0.45, 0.62, 0.83], "float64")
        upper, lower = (
            to_numpy(self.losses(case, x, values + step, dtype="float64"))
            for step in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(
            self.gradient(case, x, values, values, dtype="float64"),
            (upper - lower) / 2e-6,
            rtol=1e-5,
            atol=1e-6,
        )

    def test_images_gradient_equals_finite_differences(self, case):
        x = tf.constant(case.inputs(), "float64")
        values = tf.constant([0.3, 0.45, 0.62, 0.83], "float64")
        direction = np.random.default_rng(3).normal(size=x.shape)
        upper, lower = (
            to_numpy(
                self.losses(case, x + step * direction, values, dtype="float64")
            )
            for step in (1e-6, -1e-6)
        )
        gradient = self.gradient(case, x, values, x, dtype="float64")
        np.testing.assert_allclose(
            np.sum(gradient * direction, axis=(1, 2, 3)),
            (upper - lower) / 2e-6,
            rtol=1e-5,
            atol=1e-6,
        )

    def test_gradient_lives_at_a_small_strength(self, case):
        x = tf.constant(case.inputs())
        high = case.hyperparameter().high
        values = tf.fill([BATCH], case.start / high)
        gradient = self.gradient(case, x, values, values)
        assert np.sum(np.abs(gradient) > 1e-3) > BATCH / 2

    def test_each_strength_has_a_gradient_of_its_own(self, case):
        x = tf.constant(case.inputs())
        values = tf.fill([BATCH], 0.5)
        for name in case.strengths:
            others = {n: 0.0 for n in case.strengths if n != name}
            gradient = self.gradient(
                case, x, values, values, names=(name,), **others
            )
            assert np.all(np.abs(gradient) > 1e-4)

    def test_gradients_are_finite(self, case):
        x = tf.constant(case.inputs())
        values = tf.constant([0.0, 1e-9, 1e-3, 1.0])
        for source in (values, x):
            gradient = self.gradient(case, x, values, source)
            assert np.isfinite(gradient).all()


class TestExecution:
    def test_graph_draws_what_eager_draws(self, case):
        x = tf.constant(case.inputs())
        sample = case.sample([0.0, 0.2, 0.5, 0.9])
        outputs = []
        for wrap in (lambda call: call, tf.function):
            layer = case.make_tuned(seed=3)

            @wrap
            def call(x, layer=layer):
                return layer(x, training=True, hyperparameters=sample)

            outputs.append([to_numpy(call(x)), to_numpy(call(x))])
        np.testing.assert_allclose(*outputs, atol=1e-5)

    def test_compiled_code_changes_each_example_by_its_strength(self, case):
        # Its random numbers for a seed are not those of the graph.
        layer = case.make_tuned(seed=3)
        x = tf.constant(case.inputs())
        strengths = tf.constant([0.0, 0.9, 0.0, 0.9])

        @tf.function(jit_compile=True)
        def call(x, values):
            with tf.GradientTape() as tape:
                tape.watch(values)
                sample = case.sample(values)
                y = layer(x, training=True, hyperparameters=sample)
                loss = tf.reduce_sum(y**2)
            return y, tape.gradient(loss, values)

        y, gradient = to_numpy(call(x, strengths))
        np.testing.assert_allclose(y[[0, 2]], x.numpy()[[0, 2]], atol=1e-6)
        for i in (1, 3):
            assert np.any(np.abs(y[i] - x[i]) > 0.01)
        assert np.isfinite(y).all()
        assert np.isfinite(gradient).all()
        assert np.any(to_numpy(call(x, strengths))[0] != y)

    def test_batch_size_may_be_known_at_run_time_only(self, case):
        layer = case.make_tuned(seed=3)
        sample = case.sample([0.0, 0.9])
        signature = [tf.TensorSpec((None, *case.shape), tf.float32)]

        @tf.function(input_signature=signature)
        def call(x):
            return layer(x, training=True, hyperparameters=sample)

        for batch_size in (2, 4):
            x, half = case.inputs(batch_size), batch_size // 2
            y = to_numpy(call(x))
            np.testing.assert_allclose(y[:half], x[:half], atol=1e-6)
            assert np.any(np.abs(y[half:] - x[half:]) > 0.01)

    def test_mixed_precision_output_has_the_compute_dtype(self, case):
        layer = case.make_tuned(dtype="mixed_bfloat16", seed=3)
        plain = case.make_tuned(seed=3)
        x = case.inputs()
        y, expected = (
            one(x, training=True, hyperparameters=case.sample([0.0, 0.9]))
            for one in (layer, plain)
        )
        assert y.dtype == layer(x).dtype == "bfloat16"
        np.testing.assert_allclose(
            y.numpy().astype("float32"), to_numpy(expected), rtol=0.01
        )

    @pytest.mark.parametrize(
        "name", [n for n, c in CASES.items() if c.layer_class.images_only]
    )
    def test_single_image_is_changed_as_in_a_batch_of_one(self, name):
        case = CASES[name]
        x = case.inputs(1)
        single, batch = (
            to_numpy(case.make(0.5, seed=3)(inputs, training=True))
            for inputs in (x[0], x)
        )
        np.testing.assert_allclose(single, batch[0], atol=1e-6)

    def test_channels_may_come_first(self, case):
        x = case.inputs()
        expected = to_numpy(case.make(0.5, seed=3)(x, training=True))
        layer = case.make(0.5, seed=3, data_format="channels_first")
        y = to_numpy(layer(np.moveaxis(x, -1, 1), training=True))
        np.testing.assert_allclose(np.moveaxis(y, 1, -1), expected, atol=1e-6)

    def test_output_shape_is_that_of_the_input(self, case):
        layer = case.make_tuned()
        shape = (None, *case.shape)
        assert layer.compute_output_shape(shape) == shape
        assert layer(keras.Input(case.shape)).shape == shape


class TestSaving:
    def test_config_round_trip_keeps_numbers_pairs_and_ranges(self, case):
        for strength in (0.3, (0.1, 0.4), case.hyperparameter()):
            layer = case.make(strength, seed=3, name="layer")
            config = layer.get_config()
            again = case.layer_class.from_config(config)
            assert again.get_config() == config
            assert again.declarations == layer.declarations

    def test_saved_network_draws_the_same(self, case, tmp_path):
        network = keras.Sequential(
            [keras.Input(case.shape), case.make_tuned(seed=3)]
        )
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        x = case.inputs()
        first, second = (
            to_numpy(Providing(n, case.sample([0.2, 0.7]))(x, training=True))
            for n in (network, loaded)
        )
        np.testing.assert_array_equal(first, second)
        assert np.any(first != x)
