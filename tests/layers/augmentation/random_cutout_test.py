import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers import RandomCutout
from tests.layers.augmentation.draws import LEAST_P_VALUE
from tests.layers.augmentation.draws import assert_independent
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

HOLES = stn.Int("holes", 0, 4, default=2)
LENGTH = stn.Int("length", 0, 12, default=5)
RELAXATIONS = ["straight_through", "soft", "hard"]


def tuned(**arguments):
    return RandomCutout(HOLES, LENGTH, **arguments)


def sample(holes, length, dtype="float32"):
    """A `Sample` of continuous values, one an entry."""
    values = tf.cast(tf.stack([holes, length], axis=1), dtype)
    return Sample(tf.zeros_like(values), values, [HOLES, LENGTH])


def ones(batch_size=4, height=14, width=11, channels=2):
    return np.ones((batch_size, height, width, channels), "float32")


def cut(image, centres, length):
    """The paper's cutout, in loops."""
    height, width = image.shape[:2]
    image = image.copy()
    for y, x in centres:
        top, bottom = np.clip([y - length / 2, y + length / 2], 0, height)
        left, right = np.clip([x - length / 2, x + length / 2], 0, width)
        image[int(top) : int(bottom), int(left) : int(right)] = 0
    return image


class TestExactMask:
    @pytest.mark.parametrize("relaxation", ["hard", "straight_through"])
    def test_equals_the_official_masks(self, relaxation):
        arrays = load_reference("cutout_s601")
        for row, mask in zip(arrays["rows"], arrays["masks"]):
            length, holes, height, width = row[:4]
            centres = row[4:].reshape(-1, 2)[:holes]
            layer = RandomCutout(holes, length, relaxation=relaxation)
            y = layer.transform_images(
                np.ones((1, height, width, 1), "float32"),
                {
                    "rows": centres[:, 0][None],
                    "columns": centres[:, 1][None],
                    "holes": holes + 0.5,
                    "length": length + 0.5,
                },
            )
            np.testing.assert_array_equal(np.squeeze(y), mask[:height, :width])

    @pytest.mark.parametrize("holes, length", [(1, 1), (2, 4), (3, 7), (4, 12)])
    def test_equals_the_loops_at_what_was_drawn(self, holes, length):
        x = np.random.default_rng(0).normal(size=(6, 14, 11, 2))
        x = x.astype("float32")
        layer = RandomCutout(holes, length)
        drawn = layer.get_random_transformation(x)
        y = layer.transform_images(x, drawn)
        for i in range(len(x)):
            centres = zip(drawn["rows"].numpy()[i], drawn["columns"].numpy()[i])
            np.testing.assert_array_equal(y[i], cut(x[i], centres, length))

    @pytest.mark.parametrize("holes, length", [(0, 5), (3, 0), (0, 0)])
    @pytest.mark.parametrize("relaxation", RELAXATIONS)
    def test_nothing_is_cut_without_holes_or_length(
        self, holes, length, relaxation
    ):
        layer = RandomCutout(holes, length, relaxation=relaxation)
        y = layer(ones(), training=True)
        np.testing.assert_allclose(y, ones(), atol=1e-6)

    def test_fill_value_is_what_is_left(self):
        x = 5 * ones()
        layer = RandomCutout(1, 5, fill_value=-2.0)
        y = to_numpy(layer(x, training=True))
        assert set(np.unique(y)) == {-2.0, 5.0}

    def test_channels_may_come_first(self):
        x = np.random.default_rng(0).normal(size=(4, 14, 11, 2))
        last = RandomCutout(2, 5, seed=1)(x, training=True)
        layer = RandomCutout(2, 5, seed=1, data_format="channels_first")
        first = layer(np.moveaxis(x, -1, 1), training=True)
        np.testing.assert_array_equal(np.moveaxis(first, 1, -1), last)

    def test_single_image_is_taken(self):
        y = to_numpy(RandomCutout(1, 5)(ones()[0], training=True))
        assert y.shape == ones()[0].shape
        assert set(np.unique(y)) == {0.0, 1.0}


class TestDraws:
    def test_centres_are_uniform_over_pixels_and_independent(self):
        x = ones(3000, 8, 5, 1)
        drawn = RandomCutout(2, 3).get_random_transformation(x)
        rows, columns = to_numpy((drawn["rows"], drawn["columns"]))
        for centres, size in ((rows, 8), (columns, 5)):
            for hole in (0, 1):
                counts = np.bincount(centres[:, hole], minlength=size)
                assert len(counts) == size
                assert stats.chisquare(counts).pvalue > LEAST_P_VALUE
            assert_independent(centres[:, 0], centres[:, 1])
            assert_independent(centres[1:, 0], centres[:-1, 0])
        assert_independent(rows[:, 0], columns[:, 0])

    def test_share_of_cut_pixels_is_that_of_clipped_squares(self):
        size, length = 9, 4
        kept = to_numpy(
            RandomCutout(1, length)(ones(4000, size, size, 1), training=True)
        )
        line = [
            min(c + length // 2, size) - max(c - length // 2, 0)
            for c in range(size)
        ]
        expected = (np.mean(line) / size) ** 2
        assert np.mean(kept == 0) == pytest.approx(expected, abs=0.005)

    def test_fixed_seed_repeats_the_holes(self):
        first, second, other = (
            to_numpy(RandomCutout(2, 5, seed=s)(ones(), training=True))
            for s in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, second)
        assert np.any(first != other)

    def test_every_call_draws_anew(self):
        layer = RandomCutout(2, 5)
        first, second = (layer(ones(), training=True) for _ in range(2))
        assert np.any(first != second)

    def test_inference_is_the_identity(self):
        layer = tuned()
        for y in (layer(ones()), layer(ones(), training=False)):
            np.testing.assert_array_equal(y, ones())


class TestStrengths:
    def test_each_group_has_its_own_integers(self):
        layer = tuned(seed=1)
        x = ones(4, 32, 32, 1)
        y = to_numpy(
            layer(
                x,
                training=True,
                hyperparameters=sample([0.9, 1.2], [8.0, 6.7]),
            )
        )
        np.testing.assert_array_equal(y[:2], x[:2])
        drawn = layer.get_random_transformation(
            x, sample([0.9, 1.2], [8.0, 6.7])
        )
        y = to_numpy(layer.transform_images(x, drawn))
        for i in (2, 3):
            centre = [
                (drawn["rows"].numpy()[i, 0], drawn["columns"].numpy()[i, 0])
            ]
            np.testing.assert_array_equal(y[i], cut(x[i], centre, 6))

    def test_without_a_sample_they_are_the_defaults(self):
        x = ones()
        np.testing.assert_array_equal(
            RandomCutout(stn.Int("h", 0, 2, default=2), LENGTH, seed=1)(
                x, training=True
            ),
            RandomCutout(2, 5, seed=1)(x, training=True),
        )

    def test_top_of_the_range_cuts_no_more_than_its_value(self):
        # In float32 the map reaches the step above the largest value.
        x = ones(200, 32, 32, 1)
        layer = tuned(relaxation="hard")
        y = layer(x, training=True, hyperparameters=sample([1.0], [13.0]))
        sides = (to_numpy(y)[..., 0] == 0).any(2).sum(1)
        assert sides.max() == 12

    @pytest.mark.parametrize("holes", [-1, 1.5, "two", None, stn.Float("h")])
    def test_what_is_no_count_gets_a_sentence(self, holes):
        message = "`holes` must be a non-negative integer or an `stn.Int`"
        with pytest.raises(ValueError, match=message):
            RandomCutout(holes, 4)

    def test_negative_range_gets_a_sentence(self):
        with pytest.raises(ValueError, match="`length` must start at 0"):
            RandomCutout(1, stn.Int("length", -2, 4, default=2))

    def test_holes_without_an_upper_end_get_a_sentence(self):
        with pytest.raises(ValueError, match="needs an upper end"):
            RandomCutout(stn.Int("holes", 0, default=2), 4)

    def test_length_may_have_no_upper_end(self):
        length = stn.Int("length", 0, default=3)
        y = RandomCutout(1, length)(ones(), training=True)
        assert np.any(y == 0)

    def test_unknown_relaxation_gets_a_sentence(self):
        with pytest.raises(ValueError, match="Received: relaxation='none'"):
            RandomCutout(1, 4, relaxation="none")


class TestRelaxation:
    def test_soft_tends_to_hard_as_temperature_goes_to_zero(self):
        x = ones(8, 20, 20, 1)
        values = sample([0.2, 1.5, 2.9, 4.4], [3.1, 6.9, 5.5, 12.2])
        hard = tuned(relaxation="hard", seed=1)(
            x, training=True, hyperparameters=values
        )
        errors = []
        for temperature in (1.0, 0.3, 0.1, 0.01):
            soft = tuned(relaxation="soft", temperature=temperature, seed=1)(
                x, training=True, hyperparameters=values
            )
            errors.append(np.abs(soft - hard).max())
        assert errors[-1] < 1e-6
        assert np.abs(soft - hard).mean() < errors[0]

    def test_soft_hole_fades_in_between_two_counts(self):
        layer = tuned(relaxation="soft", temperature=1e3, seed=1)
        x = tf.ones((1, 14, 11, 1), "float64")
        images = []
        for holes in (1.5, 2.0, 2.5):
            drawn = tuned(seed=1).get_random_transformation(x)
            drawn["holes"] = tf.constant(holes, "float64")
            drawn["length"] = tf.constant(6.5, "float64")
            layer.temperature = 1e3
            images.append(to_numpy(layer.transform_images(x, drawn)))
        one, half, two = images
        # At this temperature the relaxed count is the value less 1/2.
        np.testing.assert_allclose(half, (one + two) / 2, rtol=1e-6)

    @pytest.mark.parametrize("relaxation", ["soft", "straight_through"])
    def test_gradient_is_that_of_the_soft_mask(self, relaxation):
        x = tf.ones((4, 12, 10, 1), "float64")
        weights = np.random.default_rng(0).normal(size=x.shape)
        holes = tf.constant([1.3, 2.6, 0.8, 3.9], "float64")
        length = tf.constant([3.2, 5.5, 7.7, 4.1], "float64")

        def total(relaxation, holes, length):
            layer = tuned(
                relaxation=relaxation,
                temperature=0.6,
                seed=1,
                dtype="float64",
            )
            values = sample(holes, length, "float64")
            y = layer(x, training=True, hyperparameters=values)
            return tf.reduce_sum(y * weights, axis=(1, 2, 3))

        _, gradients = value_and_gradients(
            lambda: tf.reduce_sum(total(relaxation, holes, length)),
            [holes, length],
        )
        h = 1e-6
        differences = [
            (
                total("soft", holes + h * a, length + h * b)
                - total("soft", holes - h * a, length - h * b)
            )
            / (2 * h)
            for a, b in ((1, 0), (0, 1))
        ]
        np.testing.assert_allclose(gradients, differences, rtol=1e-5, atol=1e-7)
        assert np.all(np.abs(gradients) > 1e-4)

    @pytest.mark.parametrize("relaxation", ["soft", "straight_through"])
    def test_gradient_lives_at_the_start_value(self, relaxation):
        x = tf.ones((64, 12, 10, 1))
        holes, length = tf.constant([1.5]), tf.constant([4.5])

        def kept():
            layer = tuned(relaxation=relaxation, seed=1)
            values = sample(holes, length)
            y = layer(x, training=True, hyperparameters=values)
            return tf.reduce_mean(y)

        _, gradients = value_and_gradients(kept, [holes, length])
        # More or larger holes leave less.
        assert np.all(np.array(gradients) < -1e-3)

    def test_hard_has_no_gradient(self):
        x = tf.ones((4, 12, 10, 1))
        holes, length = tf.constant([1.5]), tf.constant([4.5])
        _, gradients = value_and_gradients(
            lambda: tf.reduce_sum(
                tuned(relaxation="hard")(
                    x, training=True, hyperparameters=sample(holes, length)
                )
            ),
            [holes, length],
        )
        np.testing.assert_array_equal(gradients, 0)

    @pytest.mark.parametrize("relaxation", RELAXATIONS)
    def test_gradient_to_the_image_is_the_mask(self, relaxation):
        x = tf.random.normal((4, 12, 10, 2))
        outputs = []

        def total():
            y = tuned(relaxation=relaxation, seed=1)(x, training=True)
            outputs.append(y)
            return tf.reduce_sum(y)

        _, (gradient,) = value_and_gradients(total, [x])
        np.testing.assert_allclose(gradient * x, outputs[0], atol=1e-6)


class TestExecution:
    @pytest.mark.parametrize("relaxation", RELAXATIONS)
    def test_graph_equals_eager_and_compiled_code_cuts_as_much(
        self, relaxation
    ):
        x = tf.ones((4, 16, 12, 1))
        values = sample([0.5, 2.5], [4.5, 6.5])
        outputs = []
        for wrap in (
            lambda call: call,
            tf.function,
            lambda call: tf.function(call, jit_compile=True),
        ):
            layer = tuned(relaxation=relaxation, seed=1)

            def call(x, layer=layer):
                return layer(x, training=True, hyperparameters=values)

            outputs.append(to_numpy(wrap(call)(x)))
        eager, graph, compiled = outputs
        np.testing.assert_allclose(eager, graph, atol=1e-6)
        np.testing.assert_allclose(compiled[:2], eager[:2], atol=1e-6)
        assert np.all(compiled[2:].min((1, 2, 3)) < 0.2)

    def test_batch_size_may_be_known_at_run_time_only(self):
        layer = tuned(seed=1)
        signature = [tf.TensorSpec((None, 12, 10, 1), tf.float32)]

        @tf.function(input_signature=signature)
        def call(x):
            values = sample([0.5, 2.5], [4.5, 6.5])
            return layer(x, training=True, hyperparameters=values)

        for batch_size in (2, 6):
            y = to_numpy(call(tf.ones((batch_size, 12, 10, 1))))
            half = batch_size // 2
            assert y[:half].min() == 1
            assert y[half:].min() == 0

    def test_mixed_precision_output_has_the_compute_dtype(self):
        y = tuned(dtype="mixed_bfloat16")(ones(), training=True)
        assert y.dtype == "bfloat16"
        assert set(np.unique(y.numpy().astype("float32"))) == {0.0, 1.0}

    def test_config_round_trip_and_saving_keep_everything(self, tmp_path):
        layer = tuned(
            relaxation="soft", temperature=0.3, fill_value=0.5, seed=2
        )
        again = RandomCutout.from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        assert again.declarations == [HOLES, LENGTH]
        network = keras.Sequential([keras.Input((12, 10, 1)), layer])
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        x = ones(4, 12, 10, 1)
        np.testing.assert_array_equal(
            network(x, training=True), loaded(x, training=True)
        )


def test_model_logs_the_integers():
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            tuned(),
            keras.layers.Flatten(),
            stn.layers.HyperDense(2),
        ]
    )
    model = stn.SelfTuningModel(network)
    model.compile("sgd", loss="mse")
    x, y = np.ones((32, 8, 8, 1)), np.ones((32, 2))
    logs = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert logs["holes"] == [2]
    assert logs["length"] == [5]
    assert model.hyperparameter_values() == {"holes": 2, "length": 5}
