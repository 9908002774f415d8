"""The networks that people have: `keras.applications`, converted and back."""

import keras
import numpy as np
import pytest
from keras import applications
from keras import layers

import keras_stn as stn
from tests.conversion.cases import predict

pytestmark = pytest.mark.slow

BATCH = 4


def make_model(build):
    base = build(include_top=False, weights=None, input_shape=(32, 32, 3))
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.RandomRotation(0.1, name="rotation"),
            base,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(3),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-2), loss)
    return model


def places(model):
    # Without the variables' own names, which Keras counts where a layer gives
    # them none.
    return [(v.path.rpartition("/")[0], v.shape) for v in model.weights]


@pytest.mark.parametrize(
    "build, names",
    [
        (applications.MobileNetV2, []),
        (applications.ResNet50, []),
        (
            applications.EfficientNetB0,
            [f"block{b}_drop" for b in ("2b", "3b", "4b", "4c", "5b", "5c")]
            + ["block6b_drop", "block6c_drop", "block6d_drop"],
        ),
        (applications.ConvNeXtTiny, []),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_network_converts_trains_and_converts_back(build, names):
    model = make_model(build)
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (2 * BATCH, 32, 32, 3)).astype("float32")
    y = random.integers(0, 3, 2 * BATCH)
    expected = predict(model, x)
    tuned = stn.SelfTuningModel.from_keras(model, groups=2)
    assert tuned.hyperparameters.names == ["rotation", *names, "dropout"]
    np.testing.assert_allclose(predict(tuned, x), expected, atol=1e-5)
    history = tuned.fit(
        x, y, BATCH, validation_data=(x, y), verbose=0, validation_freq=2
    )
    assert np.isfinite(history.history["tuning_loss"][0])
    trained = predict(tuned, x)
    assert not np.allclose(trained, expected)
    ordinary = tuned.to_keras()
    np.testing.assert_allclose(
        predict(ordinary, x), trained, rtol=1e-5, atol=1e-5
    )
    assert ordinary.count_params() == model.count_params()
    assert places(ordinary) == places(model)
