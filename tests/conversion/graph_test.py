import keras
import numpy as np
from keras import layers

from keras_stn.conversion.graph import copy_layer
from keras_stn.conversion.graph import find_places
from keras_stn.conversion.graph import rebuild
from tests.conversion.cases import branches
from tests.conversion.cases import draw_inputs
from tests.numerics import to_numpy


def test_a_shared_layer_is_shared_again():
    dense = layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), dense], name="inner")
    x = keras.Input((3, 4))
    y = layers.TimeDistributed(dense)(x)
    y = layers.TimeDistributed(inner)(y)
    model = keras.Model(x, dense(y))
    rebuilt = rebuild(model, copy_layer)
    assert len(rebuilt.trainable_variables) == 2
    assert rebuilt.get_layer("shared") is not dense
    names = [place.layer.name for place in find_places(model)]
    assert names.count("shared") == 1


def test_arguments_of_calls_are_kept():
    x = keras.Input((5, 4))
    x_mask = keras.Input((5,), dtype="bool")
    initial = keras.Input((3,))
    y = layers.GRU(3, return_sequences=True)(
        x, mask=x_mask, initial_state=initial
    )
    model = keras.Model([x, x_mask, initial], y)
    rebuilt = rebuild(model, copy_layer)
    rebuilt.set_weights(model.get_weights())
    random = np.random.default_rng(0)
    inputs = [
        random.normal(size=(2, 5, 4)).astype("float32"),
        np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], bool),
        random.normal(size=(2, 3)).astype("float32"),
    ]
    np.testing.assert_array_equal(rebuilt(inputs), model(inputs))


def test_structures_of_inputs_and_outputs_are_kept():
    model = branches()
    rebuilt = rebuild(model, copy_layer)
    rebuilt.set_weights(model.get_weights())
    inputs = draw_inputs(model)
    keras.tree.map_structure(
        np.testing.assert_array_equal,
        to_numpy(rebuilt(inputs)),
        to_numpy(model(inputs)),
    )
    assert rebuilt.output_names == model.output_names


def test_a_loss_of_ones_own_is_no_obstacle():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("adam", loss=lambda y, p: keras.ops.mean(y * p))
    rebuilt = rebuild(model, copy_layer)
    assert model.compiled and not rebuilt.compiled


def test_a_custom_model_class_with_keras_constructor_is_kept():
    class Network(keras.Model):
        pass

    x = keras.Input((4,))
    rebuilt = rebuild(
        Network(x, layers.Dense(2)(x), name="network"), copy_layer
    )
    assert type(rebuilt).__name__ == "Network"
    assert rebuilt.name == "network"


def test_places_know_what_is_around_and_what_is_frozen():
    encoder = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Bidirectional(layers.LSTM(3, name="lstm")),
        ],
        name="encoder",
    )
    encoder.trainable = False
    model = keras.Sequential(
        [keras.Input((5, 4)), encoder, layers.Dense(1, name="head")]
    )
    places = {place.layer.name: place for place in find_places(model)}
    assert places["forward_lstm"].path == ("encoder", "bidirectional")
    assert places["forward_lstm"].is_frozen
    assert places["forward_lstm"].name == places["backward_lstm"].name == "lstm"
    assert places["head"].path == () and not places["head"].is_frozen


def test_directions_that_differ_have_names_of_their_own():
    forward = layers.GRU(3, dropout=0.1, name="a")
    backward = layers.GRU(3, dropout=0.3, go_backwards=True, name="b")
    wrapper = layers.Bidirectional(forward, backward_layer=backward)
    model = keras.Sequential([keras.Input((5, 4)), wrapper])
    assert [place.name for place in find_places(model)] == ["forward_a", "b"]
    rebuilt = rebuild(model, copy_layer)
    assert [place.name for place in find_places(rebuilt)] == ["forward_a", "b"]
    assert find_places(rebuilt)[1].layer.dropout == 0.3
