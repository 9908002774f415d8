"""The layers of a language model together, beside the official one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers.hyper_layer import provided
from tests.layers.rnn.official_lstm import official_gradients
from tests.layers.rnn.official_lstm import our_weights
from tests.layers.rnn.official_lstm import reorder
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

# In the order of the official columns.
RATES = {
    name: stn.Float(name, 0.0, 1.0, 0.1, per_example=per_example)
    for name, per_example in (
        ("dropouto", True),
        ("dropouti", True),
        ("dropouth", True),
        ("dropoute", False),
        ("wdrop", False),
    )
}

TABLES = {
    "embeddings": "encoder.elem_embedding.weight",
    "response_embeddings": "encoder.hnet_embedding.weight",
    "embeddings_gate": "encoder.hnet_tensor_to_scalars.weight",
    "reverse_bias": "decoder.bias",
    "kernel": "decoder.weight",
    "bias": "decoder.bias",
}
TRANSPOSED = ("embeddings_gate", "kernel")


class LanguageModel(keras.layers.Layer):
    """Our layers with the official weights."""

    def __init__(self, arrays):
        super().__init__(dtype="float64")
        self.is_tied = bool(arrays["tied"])
        vocabulary, units = arrays["p/encoder.elem_embedding.weight"].shape
        self.embedding = stn.layers.HyperEmbedding(
            vocabulary,
            units,
            dropout=RATES["dropoute"],
            use_reverse_bias=self.is_tied,
            dtype="float64",
        )
        self.embedding.build_gates(len(RATES))
        self.embedding.build(None)
        self.decoder = self.embedding
        rates = ["dropouti"] + ["dropouth"] * (arrays["nlayers"] - 1)
        self.dropouts = [
            stn.layers.VariationalDropout(RATES[name], dtype="float64")
            for name in [*rates, "dropouto"]
        ]
        self.recurrent = []
        for i in range(arrays["nlayers"]):
            layer = stn.layers.HyperLSTM(
                arrays[f"h0_{i}"].shape[1],
                return_sequences=True,
                return_state=True,
                recurrent_dropconnect=RATES["wdrop"],
                dtype="float64",
            )
            layer.cell.build_gates(len(RATES))
            layer.build((None, None, units))
            units = layer.units
            weights = our_weights(arrays, f"p/rnns.{i}.")
            for variable in layer.cell.trainable_weights:
                variable.assign(weights[variable.name])
            self.recurrent.append(layer)
        if not self.is_tied:
            self.decoder = keras.layers.Dense(vocabulary, dtype="float64")
            self.decoder.build((None, units))
        for variable in self.table_variables():
            weight = arrays[f"p/{TABLES[variable.name]}"]
            is_transposed = variable.name in TRANSPOSED
            variable.assign(weight.T if is_transposed else weight)

    def table_variables(self):
        variables = list(self.embedding.trainable_weights)
        if not self.is_tied:
            variables += self.decoder.trainable_weights
        return variables

    def call(self, tokens, states, training=False):
        """Scores, and by official names what comes between the layers."""
        between = {}
        x = self.dropouts[0](self.embedding(tokens), training=training)
        for i, layer in enumerate(self.recurrent):
            x, h, c = layer(x, initial_state=states[i], training=training)
            between |= {f"raw_{i}": x, f"hT_{i}": h, f"cT_{i}": c}
            x = self.dropouts[i + 1](x, training=training)
            between[f"dropped_{i}"] = x
        if self.is_tied:
            return self.embedding(x, reverse=True), between
        return self.decoder(x), between


def replay_masks(arrays, monkeypatch):
    """Lets the layers draw the official masks, in the order of their use."""
    masks = [arrays["keep_dropoute"], arrays["keep_dropouti"]]
    for i in range(arrays["nlayers"]):
        masks.append(reorder(arrays[f"keep_wdrop_{i}"]).T)
        is_last = i == arrays["nlayers"] - 1
        masks.append(arrays["keep_dropouto" if is_last else "keep_dropouth_0"])

    def uniform(shape, *args, **kwargs):
        return tf.constant(masks.pop(0).reshape(shape))

    monkeypatch.setattr(keras.random, "uniform", uniform)
    return masks


@pytest.mark.parametrize(
    "file", [f"hyperlstm_lm_s{i}" for i in (101, 102, 103, 104)]
)
def test_scores_and_gradients_equal_official(file, monkeypatch):
    arrays = load_reference(file)
    model = LanguageModel(arrays)
    tokens, h = arrays["tokens"].T, tf.constant(arrays["h"])
    values = tf.constant(arrays["hparam"])
    states = [
        [arrays[f"h0_{i}"], arrays[f"c0_{i}"]] for i in range(arrays["nlayers"])
    ]
    training, masks = bool(arrays["train"]), []
    if training:
        masks = replay_masks(arrays, monkeypatch)
    outcome = {}

    def loss():
        with provided(model, Sample(h, values, list(RATES.values()))):
            scores, between = model(tokens, states, training=training)
        outcome.update(between, out=scores)
        return tf.reduce_sum(
            tf.transpose(scores, (1, 0, 2)) * tf.constant(arrays["r"])
        )

    cells = [layer.cell.trainable_weights for layer in model.recurrent]
    sources = [h, *model.table_variables(), *sum(cells, [])]
    value, gradients = value_and_gradients(loss, sources)
    assert masks == []

    found = {"loss": value, "grad/h": gradients.pop(0)}
    for name, tensor in outcome.items():
        array = tensor.numpy()
        found[name] = array.transpose(1, 0, 2) if array.ndim == 3 else array
    for variable in model.table_variables():
        gradient = gradients.pop(0)
        if variable.name in TRANSPOSED:
            gradient = gradient.T
        found[f"grad/p/{TABLES[variable.name]}"] = gradient
    for i, variables in enumerate(cells):
        ours = {v.name: gradients.pop(0) for v in variables}
        prefix = f"p/rnns.{i}."
        for name, gradient in official_gradients(ours, arrays, prefix).items():
            found[f"grad/{name}"] = gradient
    given = ("p/", "h0", "c0", "keep")
    inputs = {"tokens", "h", "hparam", "r", "tied", "nlayers", "train"}
    assert found.keys() == {
        n for n in arrays if not n.startswith(given) and n not in inputs
    }
    for name, array in found.items():
        np.testing.assert_allclose(
            array, arrays[name], rtol=1e-5, atol=1e-6, err_msg=name
        )
