"""The language model beside the official one, of one to two layers."""

import keras
import pytest
import tensorflow as tf

from keras_stn.layers.hyper_layer import provided
from tests.models.official_language_model import OfficialLanguageModel
from tests.reference_arrays import assert_close
from tests.reference_arrays import load_reference

# The official order of the columns.
NAMES = ["dropouto", "dropouti", "dropouth", "dropoute", "wdrop"]
TOLERANCE = 1e-10

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.mark.parametrize("number", [101, 103, 104])
def test_outputs_states_and_gradients_are_official(number, monkeypatch):
    arrays = load_reference(f"hyperlstm_lm_s{number}")
    parameters = part(arrays, "p/")
    masks = {name: mask[None] for name, mask in part(arrays, "keep_").items()}
    official = OfficialLanguageModel(
        NAMES, parameters, len(arrays["h"]), masks, monkeypatch
    )
    official.load_weights(parameters)
    for lstm, states in zip(official.lstms, states_of(arrays, "0_")):
        for state, array in zip(lstm.states, states):
            state.assign(array)

    rows = [
        tf.constant(official.to_columns(arrays[name].T).T)
        for name in ("h", "hparam")
    ]
    network = with_activities(official)
    weights = [weight.value for weight in official.network.trainable_weights]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([rows[0], *weights])
        with provided(official.model, official.make_sample(*rows)):
            *activities, logits = network(
                tf.constant(arrays["tokens"].T), training=bool(arrays["train"])
            )
        loss = tf.reduce_sum(to_torch(logits) * arrays["r"])
    grad_rows, *gradients = tape.gradient(loss, [rows[0], *weights])

    assert_close(to_torch(logits), arrays["out"], TOLERANCE)
    assert_close(loss, arrays["loss"], TOLERANCE)
    names = [
        f"{kind}_{i}"
        for kind in ("raw", "dropped")
        for i in range(len(official.lstms))
    ]
    for name, activity in zip(names, activities, strict=True):
        assert_close(to_torch(activity), arrays[name], TOLERANCE)
    for lstm, states in zip(official.lstms, states_of(arrays, "T_")):
        for state, array in zip(lstm.states, states):
            assert_close(state, array, TOLERANCE)
    grad_h = official.of_columns(grad_rows.numpy().T).T
    assert_close(grad_h, arrays["grad/h"], TOLERANCE)
    gradients = {
        weight.path: tf.convert_to_tensor(gradient).numpy()
        for weight, gradient in zip(
            official.network.trainable_weights, gradients
        )
    }
    gradients = official.as_official(gradients, parameters)
    assert gradients.keys() == parameters.keys()
    for name, gradient in gradients.items():
        assert_close(gradient, arrays[f"grad/p/{name}"], TOLERANCE)


def with_activities(official):
    """The network with what LSTM layers and dropouts put out, then logits."""
    count = official.num_layers
    names = [f"lstm_{i + 1}" for i in range(count)]
    names += [f"dropout_hidden_{i + 1}" for i in range(count - 1)]
    network = official.network
    return keras.Model(
        network.inputs,
        [
            *(network.get_layer(n).output for n in [*names, "dropout_output"]),
            network.output,
        ],
    )


def states_of(arrays, suffix):
    """Pairs of the official states of the layers."""
    count = int(arrays["nlayers"])
    return [
        (arrays[f"h{suffix}{i}"], arrays[f"c{suffix}{i}"]) for i in range(count)
    ]


def part(arrays, prefix):
    return {
        key.removeprefix(prefix): array
        for key, array in arrays.items()
        if key.startswith(prefix)
    }


def to_torch(sequences):
    """Brings time steps before examples."""
    return tf.transpose(sequences, (1, 0, 2))
