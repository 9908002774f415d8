import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_stn as stn
from keras_stn.conversion.graph import find_places
from tests.conversion import loading_program
from tests.conversion.cases import MODELS
from tests.conversion.cases import draw_inputs
from tests.layers.samples import fill
from tests.numerics import to_numpy
from tests.programs import run_program

# Further arguments of a layer that another model has.
VARIATIONS = (
    "dense_no_bias",
    "einsum_dense_ellipsis",
    "conv1d_causal",
    "conv2d_strided",
    "conv2d_grouped",
    "depthwise_conv2d_strided",
    "conv2d_transpose_padded",
    "embedding_masked",
    "lstm_backwards",
    "gru_reset_before",
    "multi_head_attention_causal",
    "bidirectional_sum",
)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(sorted(MODELS.keys() - VARIATIONS), id="every_layer"),
        pytest.param(VARIATIONS, id="variations", marks=pytest.mark.slow),
    ],
)
def test_files_load_where_the_package_cannot_be_imported(names, tmp_path):
    for name in names:
        tuned = stn.SelfTuningModel.from_keras(MODELS[name](), preset="paper")
        for layer in tuned._response_layers():
            for variable in layer.response_variables():
                variable.assign(keras.ops.full(variable.shape, 0.3))
        tuned.compile("adam", "mse")
        inputs = draw_inputs(tuned.network)
        arrays = {
            f"{kind}_{i}": value
            for kind, values in (
                ("input", inputs),
                ("output", to_numpy(tuned(inputs, training=False))),
            )
            for i, value in enumerate(keras.tree.flatten(values))
        }
        path = tmp_path / f"{name}.keras"
        tuned.to_keras().save(path)
        np.savez(path.with_suffix(".npz"), **arrays)
        with zipfile.ZipFile(path) as file:
            assert b"keras_stn" not in file.read("config.json")
    run_program(loading_program, str(tmp_path))


def make_network(*inner):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            *inner,
            layers.Flatten(),
            stn.layers.HyperDense(2, name="head"),
        ]
    )


def test_hyperparameters_become_the_numbers_they_are_tuned_to():
    rate = stn.Float("rate", 0.0, 0.9, default=0.2)
    turn = stn.Float("turn", 0.0, 0.25, default=0.1)
    contrast = stn.Float("contrast", 0.0, 0.5, default=0.2)
    l2 = stn.Float("l2", 1e-6, 1e-2, 1e-4, "log", per_example=False)
    network = make_network(
        stn.layers.RandomRotation(turn, name="turn"),
        stn.layers.RandomContrast(contrast, name="contrast"),
        stn.layers.SpatialDropout2D(rate, name="dropout"),
        layers.BatchNormalization(
            gamma_regularizer=stn.regularizers.L2(l2), name="norm"
        ),
    )
    model = stn.SelfTuningModel(network)
    location = model.hyperparameters.location
    location.assign(location + 0.5)
    values = model.hyperparameter_values()
    assert values["rate"] > 0.25
    ordinary = model.to_keras()
    assert ordinary.get_layer("dropout").rate == values["rate"]
    assert ordinary.get_layer("turn").factor == (
        -values["turn"],
        values["turn"],
    )
    assert ordinary.get_layer("contrast").factor == (values["contrast"],) * 2
    regularizer = ordinary.get_layer("norm").gamma_regularizer
    assert type(regularizer) is keras.regularizers.L2
    assert regularizer.l2 == pytest.approx(values["l2"])
    assert all(
        type(place.layer).__module__.startswith("keras.")
        for place in find_places(ordinary)
    )


def test_a_layer_of_ones_own_keeps_its_class_and_penalty():
    class OwnDense(layers.Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units, **kwargs)

        def call(self, inputs):
            return 2 * super().call(inputs)

    l2 = stn.Float("l2", 1e-6, 1e-2, 1e-4, "log", per_example=False)
    own = OwnDense(3, kernel_regularizer=stn.regularizers.L2(l2), name="own")
    model = stn.SelfTuningModel(make_network(own))
    ordinary = model.to_keras()
    assert type(ordinary.get_layer("own")) is OwnDense
    regularizer = ordinary.get_layer("own").kernel_regularizer
    assert type(regularizer) is keras.regularizers.L2
    assert regularizer.l2 == pytest.approx(1e-4)
    x = np.random.default_rng(0).random((2, 6, 6, 3))
    np.testing.assert_allclose(ordinary(x), model(x), rtol=1e-5, atol=1e-6)


def test_what_acts_in_training_alone_passes_its_inputs_on():
    strength = stn.Float("strength", 0.0, 0.5, default=0.1)
    network = make_network(
        stn.layers.RandomCutout(stn.Int("holes", 0, 2), 3),
        stn.layers.RandomInputScale(strength),
        stn.layers.RandomHue(strength, value_range=([0] * 3, [1, 2, 3])),
        stn.layers.MixUp(strength),
        stn.layers.ActivityRegularization(strength),
    )
    model = stn.SelfTuningModel(network)
    ordinary = model.to_keras()
    kinds = [type(layer) for layer in ordinary.layers]
    assert kinds == [layers.Identity] * 5 + [layers.Flatten, layers.Dense]
    assert [layer.name for layer in ordinary.layers] == [
        layer.name for layer in network.layers
    ]
    x = np.random.default_rng(0).random((2, 6, 6, 3))
    np.testing.assert_allclose(ordinary(x), model(x), rtol=1e-5, atol=1e-6)


def test_a_layer_of_ones_own_says_what_it_becomes():
    class Shift(stn.layers.HyperLayer):
        def __init__(self, amount, **kwargs):
            super().__init__(**kwargs)
            self.amount = self.declare(amount)

        def call(self, inputs, hyperparameters=None):
            return inputs + self.resolve(self.amount, inputs, hyperparameters)

    class KnownShift(Shift):
        def to_keras(self, values):
            amount = values[self.amount.name]
            return layers.Rescaling(1.0, offset=amount, name=self.name)

    amount = stn.Float("amount", 0.0, 2.0, default=0.5)
    model = stn.SelfTuningModel(make_network(Shift(amount)))
    with pytest.raises(ValueError, match="method `to_keras.*Received: Shift"):
        model.to_keras()
    model = stn.SelfTuningModel(make_network(KnownShift(amount)))
    x = np.random.default_rng(0).random((2, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(model.to_keras()(x), model(x), rtol=1e-5)


def test_shear_is_tuned_though_keras_cannot_read_its_configuration():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.RandomShear(0.2, 0.1, name="shear"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    tuned = stn.SelfTuningModel.from_keras(model)
    values = tuned.hyperparameter_values()
    assert values == pytest.approx({"shear_x": 0.2, "shear_y": 0.1})
    shear = tuned.to_keras().get_layer("shear")
    assert shear.x_factor == (-values["shear_x"], values["shear_x"])
    assert shear.y_factor == (-values["shear_y"], values["shear_y"])


def test_a_layer_of_a_function_is_kept():
    factor = 3.0
    x = keras.Input((4,))
    y = layers.Lambda(lambda t: factor * t, name="triple")(x)
    y = layers.Dense(2)(layers.Dropout(0.1)(y))
    tuned = stn.SelfTuningModel.from_keras(keras.Model(x, y), preset="paper")
    for layer in tuned._response_layers():
        fill(layer)
    ones = np.ones((2, 4))
    np.testing.assert_allclose(tuned.to_keras()(ones), tuned(ones), rtol=1e-5)


def test_a_table_that_maps_both_ways_is_refused():
    words = keras.Input((5,), dtype="int32")
    table = stn.layers.HyperEmbedding(7, 3, name="table")
    x = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9))(table(words))
    network = keras.Model(words, table(x, reverse=True))
    model = stn.SelfTuningModel(network)
    with pytest.raises(ValueError, match="'table' maps .*tie_weights=True"):
        model.to_keras()


def test_a_subclassed_network_is_refused():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.dropout = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9))
            self.dense = stn.layers.HyperDense(2)

        def call(self, inputs):
            return self.dense(self.dropout(inputs))

    model = stn.SelfTuningModel(Network())
    with pytest.raises(ValueError, match="no weights yet"):
        model.to_keras()
    model.build((None, 3))
    with pytest.raises(ValueError, match=r"(?s)model.export.*of class Network"):
        model.to_keras()


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_recurrent_weights_that_drop_become_plain_ones(preset):
    rate = stn.Float("dropconnect", 0.0, 0.9, 0.3, per_example=False)
    network = keras.Sequential(
        [
            keras.Input((5, 4)),
            stn.layers.HyperLSTM(3, recurrent_dropconnect=rate),
        ]
    )
    model = stn.SelfTuningModel(network, preset=preset)
    fill(network)
    ordinary = model.to_keras()
    assert type(ordinary.layers[0]) is layers.LSTM
    x = draw_inputs(network)
    np.testing.assert_allclose(ordinary(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_exports_predict_the_same(tmp_path):
    tuned = stn.SelfTuningModel.from_keras(MODELS["residual"](), preset="paper")
    for layer in tuned._response_layers():
        fill(layer)
    x = draw_inputs(tuned.network)
    expected = to_numpy(tuned(x))
    ordinary = tuned.to_keras()
    ordinary.export(tmp_path / "saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved_model")
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-4, atol=1e-5)
    path = str(tmp_path / "model.tflite")
    ordinary.export(path, format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(path)
    (entry,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(entry["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(result["index"]), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_predicts_the_same(tmp_path):
    import onnxruntime

    tuned = stn.SelfTuningModel.from_keras(MODELS["residual"](), preset="paper")
    for layer in tuned._response_layers():
        fill(layer)
    x = draw_inputs(tuned.network)
    ordinary = tuned.to_keras()
    # Keras's export wants a model that was called.
    expected = to_numpy(ordinary(x))
    path = str(tmp_path / "model.onnx")
    ordinary.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (entry,) = session.get_inputs()
    (actual,) = session.run(None, {entry.name: x})
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
