import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers.augmentation.resampling import FILL_MODES
from keras_stn.layers.augmentation.resampling import INTERPOLATIONS
from keras_stn.layers.augmentation.resampling import affine_transform
from keras_stn.layers.augmentation.resampling import scale_and_translate
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

BATCH = 40
SHAPE = (7, 9, 2)
IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.fixture
def random():
    return np.random.default_rng(0)


def make_images(random, shape=SHAPE, batch_size=BATCH):
    return random.uniform(0, 255, (batch_size, *shape)).astype("float32")


def make_matrices(random, spread, batch_size=BATCH):
    matrices = IDENTITY + random.uniform(-1, 1, (batch_size, 2, 3)) * spread
    return matrices.astype("float32")


def transform_with_keras(images, matrices, **arguments):
    rows = np.pad(matrices.reshape(-1, 6), ((0, 0), (0, 2)))
    return to_numpy(
        keras.ops.image.affine_transform(
            images, rows, data_format="channels_last", **arguments
        )
    )


@pytest.fixture(params=FILL_MODES)
def fill_mode(request):
    return request.param


@pytest.fixture(params=INTERPOLATIONS)
def interpolation(request):
    return request.param


class TestAffineTransform:
    # Of the second, most places lie several widths outside of the image.
    @pytest.mark.parametrize("spread", [[1, 1, 9], [4, 4, 90]])
    @pytest.mark.parametrize("shape", [SHAPE, (1, 5, 3)])
    def test_equals_keras(
        self, random, fill_mode, interpolation, spread, shape
    ):
        images = make_images(random, shape)
        matrices = make_matrices(random, np.array(spread))
        arguments = {
            "interpolation": interpolation,
            "fill_mode": fill_mode,
            "fill_value": 7.0,
        }
        np.testing.assert_allclose(
            to_numpy(affine_transform(images, matrices, **arguments)),
            transform_with_keras(images, matrices, **arguments),
            rtol=1e-5,
            atol=1e-2,
        )

    def test_whole_pixels_equal_keras(self, random, fill_mode, interpolation):
        offsets = [-20, -9, -7, -3, -1, 1, 2, 7, 9, 18]
        images = make_images(random, batch_size=len(offsets))
        matrices = make_matrices(random, 0.0, len(offsets))
        matrices[:, 0, 2] = offsets
        matrices[:, 1, 2] = offsets[::-1]
        arguments = {"interpolation": interpolation, "fill_mode": fill_mode}
        np.testing.assert_array_equal(
            to_numpy(affine_transform(images, matrices, **arguments)),
            transform_with_keras(images, matrices, **arguments),
        )

    def test_half_a_pixel_goes_to_the_pixel_that_keras_takes(
        self, random, fill_mode
    ):
        images = make_images(random, batch_size=2)
        matrices = np.stack([IDENTITY, IDENTITY]).astype("float32")
        matrices[:, :, 2] = [[0.5, -0.5], [-1.5, 1.5]]
        arguments = {"interpolation": "nearest", "fill_mode": fill_mode}
        np.testing.assert_array_equal(
            to_numpy(affine_transform(images, matrices, **arguments)),
            transform_with_keras(images, matrices, **arguments),
        )

    def test_identity_returns_the_very_pixels(
        self, random, fill_mode, interpolation
    ):
        images = make_images(random)
        matrices = make_matrices(random, 0.0)
        outputs = affine_transform(images, matrices, interpolation, fill_mode)
        np.testing.assert_array_equal(to_numpy(outputs), images)

    def test_gradients_equal_finite_differences(self, random, fill_mode):
        images = tf.constant(make_images(random, batch_size=3), "float64")
        matrices = make_matrices(random, np.array([0.3, 0.3, 2]), 3)
        matrices = tf.constant(matrices, "float64")
        weights = random.normal(size=images.shape)

        def loss(images, matrices):
            outputs = affine_transform(
                images, matrices, "bilinear", fill_mode, fill_value=7.0
            )
            return tf.reduce_sum(weights * outputs)

        _, gradients = value_and_gradients(
            lambda: loss(images, matrices), [images, matrices]
        )
        sources = (images, matrices)
        for i in (0, 1):
            direction = random.normal(size=sources[i].shape)
            ends = []
            for step in (1e-6, -1e-6):
                moved = list(sources)
                moved[i] = sources[i] + step * direction
                ends.append(to_numpy(loss(*moved)))
            np.testing.assert_allclose(
                np.sum(gradients[i] * direction),
                (ends[0] - ends[1]) / 2e-6,
                rtol=1e-5,
            )

    def test_nearest_has_no_gradient_to_the_matrices(self, random, fill_mode):
        images = tf.constant(make_images(random))
        matrices = tf.constant(make_matrices(random, 0.3))

        def loss():
            return tf.reduce_sum(
                affine_transform(images, matrices, "nearest", fill_mode)
            )

        _, gradients = value_and_gradients(loss, [images, matrices])
        assert np.any(gradients[0] != 0)
        np.testing.assert_array_equal(gradients[1], 0)

    def test_gradient_lives_where_every_place_is_a_pixel(
        self, random, fill_mode
    ):
        images = make_images(random)
        matrices = tf.constant(make_matrices(random, 0.0))
        weights = random.normal(size=images.shape).astype("float32")

        def loss():
            outputs = affine_transform(images, matrices, "bilinear", fill_mode)
            return tf.reduce_sum(weights * outputs)

        _, (gradient,) = value_and_gradients(loss, [matrices])
        assert np.all(gradient != 0)

    def test_compiled_code_equals_eager(self, random, fill_mode, interpolation):
        images = tf.constant(make_images(random))
        matrices = tf.constant(make_matrices(random, np.array([1, 1, 9])))
        arguments = (images, matrices, interpolation, fill_mode)
        compiled = tf.function(affine_transform, jit_compile=True)
        np.testing.assert_allclose(
            to_numpy(compiled(*arguments)),
            to_numpy(affine_transform(*arguments)),
            atol=1e-2,
        )


class TestScaleAndTranslate:
    def test_equals_the_affine_map(self, random, fill_mode, interpolation):
        images = make_images(random)
        matrices = make_matrices(random, np.array([1, 1, 9]))
        matrices[:, 0, 1] = matrices[:, 1, 0] = 0
        arguments = (interpolation, fill_mode, 7.0)
        scales = (matrices[:, 1, 1:2], matrices[:, 0, 0:1])
        offsets = (matrices[:, 1, 2:], matrices[:, 0, 2:])
        np.testing.assert_allclose(
            to_numpy(scale_and_translate(images, scales, offsets, *arguments)),
            to_numpy(affine_transform(images, matrices, *arguments)),
            atol=1e-2,
        )

    def test_identity_returns_the_very_pixels(
        self, random, fill_mode, interpolation
    ):
        images = make_images(random)
        offset = np.zeros((BATCH, 1), "float32")
        outputs = scale_and_translate(
            images, (1, 1), (offset, offset), interpolation, fill_mode
        )
        np.testing.assert_array_equal(to_numpy(outputs), images)
