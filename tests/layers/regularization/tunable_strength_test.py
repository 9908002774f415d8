"""What every noise layer whose strength may be tuned must do."""

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

# A new layer is covered by its line here: the layer, the Keras layer it
# replaces, its arguments beside the strength and the shape of one example.
CASES = {
    "dropout": (layers.Dropout, keras.layers.Dropout, {}, (8,)),
    "dropout_noise_shape": (
        layers.Dropout,
        keras.layers.Dropout,
        {"noise_shape": (None, 1, 8)},
        (5, 8),
    ),
    "spatial_dropout1d": (
        layers.SpatialDropout1D,
        keras.layers.SpatialDropout1D,
        {},
        (3, 8),
    ),
    "spatial_dropout2d": (
        layers.SpatialDropout2D,
        keras.layers.SpatialDropout2D,
        {},
        (3, 2, 8),
    ),
    "spatial_dropout2d_channels_first": (
        layers.SpatialDropout2D,
        keras.layers.SpatialDropout2D,
        {"data_format": "channels_first"},
        (8, 3, 2),
    ),
    "spatial_dropout3d": (
        layers.SpatialDropout3D,
        keras.layers.SpatialDropout3D,
        {},
        (3, 2, 2, 8),
    ),
    "spatial_dropout3d_channels_first": (
        layers.SpatialDropout3D,
        keras.layers.SpatialDropout3D,
        {"data_format": "channels_first"},
        (8, 3, 2, 2),
    ),
    "variational_dropout": (
        layers.VariationalDropout,
        keras.layers.SpatialDropout1D,
        {},
        (3, 8),
    ),
    "alpha_dropout": (
        layers.AlphaDropout,
        keras.layers.AlphaDropout,
        {"noise_shape": (None, 1, 8)},
        (5, 8),
    ),
    "gaussian_dropout": (
        layers.GaussianDropout,
        keras.layers.GaussianDropout,
        {},
        (8,),
    ),
    "gaussian_noise": (
        layers.GaussianNoise,
        keras.layers.GaussianNoise,
        {},
        (3, 8),
    ),
}


def strength(default=0.4, low=0.0, high=1.0):
    return stn.Float("strength", low, high, default=default)


class Case:
    """Makes layers and inputs of one line of `CASES`."""

    def __init__(self, name):
        self.layer_class, self.keras_class, self.arguments, self.shape = CASES[
            name
        ]

    def make(self, strength, **arguments):
        return self.layer_class(strength, **self.arguments, **arguments)

    def make_keras(self, strength, **arguments):
        return self.keras_class(strength, **self.arguments, **arguments)

    def inputs(self, batch_size=BATCH):
        shape = (batch_size, *self.shape)
        return np.random.default_rng(1).uniform(1, 2, shape).astype("float32")


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)


class TestNumber:
    @pytest.mark.parametrize("number", [0, 0.0, 0.3, 1])
    def test_equals_keras_layer_bit_for_bit(self, case, number):
        divides = (layers.AlphaDropout, layers.GaussianDropout)
        if number == 1 and case.layer_class in divides:
            number = 0.999  # Keras divides by zero.
        layer = case.make(number, seed=3)
        keras_layer = case.make_keras(number, seed=3)
        x = case.inputs()
        for training in (True, True, False):
            np.testing.assert_array_equal(
                to_numpy(layer(x, training=training)),
                to_numpy(keras_layer(x, training=training)),
            )

    def test_config_equals_that_of_keras(self, case):
        layer = case.make(0.3, seed=3, name="layer")
        keras_layer = case.make_keras(0.3, seed=3, name="layer")
        assert layer.get_config() == keras_layer.get_config()

    def test_nothing_is_declared(self, case):
        assert case.make(0.3).declarations == []

    @pytest.mark.parametrize("number", [-0.1, 1.5])
    def test_number_outside_is_refused_by_keras(self, case, number):
        with pytest.raises(ValueError, match=f"Received: .*={number}"):
            case.make(number)


class TestTuned:
    def test_declares_its_hyperparameter(self, case):
        assert case.make(strength()).declarations == [strength()]

    @pytest.mark.parametrize("number", [0.05, 0.4, 0.9])
    def test_fixed_value_equals_keras_layer_with_that_number(
        self, case, number
    ):
        layer = case.make(strength(), seed=3)
        keras_layer = case.make_keras(number, seed=3)
        x = case.inputs(50)
        for _ in range(2):
            y = layer(
                x,
                training=True,
                hyperparameters=sample_at(strength(), [number]),
            )
            np.testing.assert_allclose(
                to_numpy(y),
                to_numpy(keras_layer(x, training=True)),
                rtol=1e-5,
                atol=1e-5,
            )

    def test_without_a_sample_the_strength_is_the_default(self, case):
        layer = case.make(strength(default=0.3), seed=3)
        keras_layer = case.make_keras(0.3, seed=3)
        x = case.inputs(50)
        np.testing.assert_allclose(
            to_numpy(layer(x, training=True)),
            to_numpy(keras_layer(x, training=True)),
            rtol=1e-5,
            atol=1e-5,
        )

    def test_inference_is_the_identity(self, case):
        layer = case.make(strength())
        x = case.inputs()
        sample = sample_at(strength(), [0.9])
        for y in (
            layer(x),
            layer(x, training=False),
            layer(x, hyperparameters=sample),
            layer(x, training=False, hyperparameters=sample),
        ):
            np.testing.assert_array_equal(to_numpy(y), x)

    @pytest.mark.parametrize("smallest", [0.0, 1e-9])
    def test_example_of_no_strength_stays_beside_one_of_much(
        self, case, smallest
    ):
        layer = case.make(strength(), seed=3)
        x = case.inputs()
        values = [smallest, 0.9, smallest, 0.9]
        y = to_numpy(
            layer(
                x, training=True, hyperparameters=sample_at(strength(), values)
            )
        )
        np.testing.assert_allclose(y[[0, 2]], x[[0, 2]], rtol=1e-3)
        assert np.all(y[[1, 3]] != x[[1, 3]])

    def test_group_shares_its_strength_and_not_its_noise(self, case):
        layer = case.make(strength(), seed=3)
        x = np.ones_like(case.inputs())
        y = to_numpy(
            layer(
                x,
                training=True,
                hyperparameters=sample_at(strength(), [0.0, 0.5]),
            )
        )
        np.testing.assert_array_equal(y[:2], x[:2])
        assert np.any(y[2] != x[2])
        assert np.any(y[3] != y[2])

    def test_every_call_draws_new_noise(self, case):
        layer = case.make(strength())
        x = case.inputs(20)
        sample = sample_at(strength(), [0.5])
        first, second = (
            to_numpy(layer(x, training=True, hyperparameters=sample))
            for _ in range(2)
        )
        assert np.any(first != second)

    def test_gradient_to_the_input_is_the_noise(self, case):
        x = tf.constant(case.inputs())
        sample = sample_at(strength(), [0.2, 0.4, 0.6, 0.8])

        def call(x):
            # The same seed draws the same noise.
            layer = case.make(strength(), seed=3)
            return layer(x, training=True, hyperparameters=sample)

        _, (gradient,) = value_and_gradients(
            lambda: tf.reduce_sum(call(x)), [x]
        )
        # Every layer is affine in its input.
        slope = to_numpy(call(x + 1) - call(x))
        np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        "hyperparameter",
        [
            stn.Float("a", -0.1, 0.5),
            stn.Float("a", 0.0, 1.1),
            stn.Float("a", 0.0, None, default=0.5),
            stn.Float("a", None, 0.5, default=0.2),
            stn.Float("a", default=0.5),
            stn.Int("a", 0, 1),
        ],
    )
    def test_range_outside_is_refused_with_a_sentence(
        self, case, hyperparameter
    ):
        name = case.layer_class.strength_name
        message = f"The range of `{name}` must lie between 0 and 1"
        with pytest.raises(ValueError, match=message) as error:
            case.make(hyperparameter)
        assert f"Received: {name}={hyperparameter}" in str(error.value)

    @pytest.mark.parametrize(
        "hyperparameter",
        [
            stn.Float("a", 0.0, 1.0),
            stn.Float("a", 0.2, 0.3),
            stn.Float("a", None, 1.0, default=0.1, sampling="log"),
        ],
    )
    def test_range_inside_is_taken(self, case, hyperparameter):
        assert case.make(hyperparameter).declarations == [hyperparameter]


class TestExecution:
    def test_graph_draws_the_noise_of_eager(self, case):
        x = tf.constant(case.inputs())
        sample = sample_at(strength(), [0.0, 0.2, 0.5, 0.9])
        outputs = []
        for wrap in (lambda call: call, tf.function):
            layer = case.make(strength(), seed=3)

            @wrap
            def call(x, layer=layer):
                return layer(x, training=True, hyperparameters=sample)

            outputs.append([to_numpy(call(x)), to_numpy(call(x))])
        np.testing.assert_allclose(*outputs, rtol=1e-5)

    def test_compiled_code_adds_noise_at_each_examples_strength(self, case):
        # Its random numbers for a seed are not those of the graph.
        layer = case.make(strength(), seed=3)
        x = tf.constant(case.inputs())

        @tf.function(jit_compile=True)
        def call(x, values):
            sample = sample_at(strength(), values)
            return layer(x, training=True, hyperparameters=sample)

        values = tf.constant([0.0, 0.9, 0.0, 0.5])
        first, second = to_numpy([call(x, values), call(x, values)])
        for y in (first, second):
            np.testing.assert_array_equal(y[[0, 2]], x.numpy()[[0, 2]])
            assert np.all(y[[1, 3]] != x.numpy()[[1, 3]])
            assert np.isfinite(y).all()
        assert np.any(first != second)

    def test_batch_size_may_be_known_at_run_time_only(self, case):
        layer = case.make(strength(), seed=3)
        sample = sample_at(strength(), [0.0, 0.9])
        signature = [tf.TensorSpec((None, *case.shape), tf.float32)]

        @tf.function(input_signature=signature)
        def call(x):
            return layer(x, training=True, hyperparameters=sample)

        for batch_size in (2, 4):
            x, half = case.inputs(batch_size), batch_size // 2
            y = to_numpy(call(x))
            np.testing.assert_array_equal(y[:half], x[:half])
            assert np.all(y[half:] != x[half:])

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_mixed_precision_output_has_the_compute_dtype(self, case, dtype):
        layer = case.make(strength(), dtype=f"mixed_{dtype}", seed=3)
        x = case.inputs()
        sample = sample_at(strength(), [0.0, 0.9])
        y = layer(x, training=True, hyperparameters=sample)
        assert y.dtype == dtype
        y = y.numpy().astype("float32")
        np.testing.assert_allclose(y[:2], x[:2], rtol=0.01)
        assert np.isfinite(y).all()
        assert layer(x).dtype == dtype

    def test_mask_passes_through(self, case):
        layer = case.make(strength())
        assert layer.supports_masking
        mask = np.array([[True, False]])
        assert layer.compute_mask(case.inputs(), mask) is mask

    def test_output_shape_is_that_of_the_input(self, case):
        layer = case.make(strength())
        shape = (None, *case.shape)
        assert layer.compute_output_shape(shape) == shape
        outputs = layer(keras.Input(case.shape))
        assert outputs.shape == shape


class TestSaving:
    def test_config_round_trip_keeps_the_hyperparameter(self, case):
        layer = case.make(strength(), seed=3, name="layer")
        config = layer.get_config()
        assert config.keys() == case.make_keras(0.3).get_config().keys()
        again = case.layer_class.from_config(config)
        assert again.get_config() == config
        assert again.declarations == [strength()]

    def test_saved_network_draws_the_same_noise(self, case, tmp_path):
        network = keras.Sequential(
            [keras.Input(case.shape), case.make(strength(), seed=3)]
        )
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        sample = sample_at(strength(), [0.2, 0.7])
        x = case.inputs()
        first, second = (
            to_numpy(Providing(n, sample)(x, training=True))
            for n in (network, loaded)
        )
        np.testing.assert_array_equal(first, second)
        assert np.any(first != x)
