"""The language model: its layers, hyperparameters and fixed twin."""

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.applications import lstm_language_model
from keras_stn.layers.hyper_layer import find_declarations
from tests.gates import open_gates
from tests.numerics import to_numpy
from tests.reference_arrays import load_reference

# The official names of ours.
OFFICIAL = {
    "alpha": "alpha",
    "beta": "beta",
    "dropout_output": "dropouto",
    "dropout_input": "dropouti",
    "dropout_hidden": "dropouth",
    "dropout_embedding": "dropoute",
    "dropconnect": "wdrop",
}
SMALL = {"units": 6, "embedding_units": 5, "batch_size": 2, "length": 4}
WORDS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "int32")


def test_hyperparameters_start_as_the_official_ones():
    network = lstm_language_model(9, **SMALL)
    declarations = {h.name: h for h in find_declarations(network)}
    arrays = load_reference("start_lstm_none")
    assert {OFFICIAL[name] for name in declarations} == set(arrays["names"])
    for name, declaration in declarations.items():
        i = list(arrays["names"]).index(OFFICIAL[name])
        assert declaration.default == pytest.approx(arrays["hparam"][i])
        assert declaration.scale == pytest.approx(
            np.log1p(np.exp(arrays["hscale"][i]))
        )
        is_shared = not arrays["minibatch"][i]
        assert declaration.per_example != is_shared


def test_last_layer_has_the_size_of_the_embedding():
    network = lstm_language_model(9, layers=3, **SMALL)
    sizes = [network.get_layer(f"lstm_{i}").units for i in (1, 2, 3)]
    assert sizes == [6, 6, 5]
    assert network.output_shape == (2, 4, 9)


def test_output_shares_the_table_of_the_input():
    network = lstm_language_model(9, **SMALL)
    kernels = [v.path for v in network.trainable_variables if 9 in v.shape]
    assert sorted(path.split("/")[-1] for path in kernels) == [
        "embeddings",
        "response_embeddings",
        "reverse_bias",
    ]


def test_fixed_network_trains_no_response():
    network = lstm_language_model(9, tuned=False, **SMALL)
    assert find_declarations(network) == []
    names = [v.name for v in network.trainable_variables]
    assert not any("response" in name or "gate" in name for name in names)
    count = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    table, lstms = 9 * 5, [(5, 6), (6, 5)]
    expected = table + 9
    expected += sum(4 * u * (d + u) + 4 * u for d, u in lstms)
    assert count == expected


def test_fixed_network_drops_and_penalizes_at_its_values():
    values = dict.fromkeys(OFFICIAL, 0.0)

    def outputs(**changed):
        keras.utils.set_random_seed(0)
        network = lstm_language_model(
            9, tuned=False, values=values | changed, **SMALL
        )
        scores = to_numpy(network(WORDS, training=True))
        return scores, float(sum(network.losses))

    plain, nothing = outputs()
    assert nothing == 0
    for name in OFFICIAL:
        scores, penalty = outputs(**{name: 0.5})
        is_penalty = name in ("alpha", "beta")
        assert (penalty > 0) == is_penalty
        assert np.array_equal(scores, plain) == is_penalty


def test_unknown_value_is_refused():
    with pytest.raises(ValueError, match="`values` names hyperparameters"):
        lstm_language_model(9, values={"dropout": 0.1}, **SMALL)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_tuned_network_trains_saves_and_loads(jit_compile, tmp_path):
    network = lstm_language_model(9, **SMALL)
    model = stn.SelfTuningModel(network, tune_scales=False, groups=2)
    model.compile(
        keras.optimizers.SGD(1.0, global_clipnorm=0.25),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        hyper_optimizer=keras.optimizers.Adam(0.1),
        jit_compile=jit_compile,
    )
    # In so few steps they would hardly leave their zeros.
    open_gates(model, 0.1)
    x = np.tile(WORDS, (4, 1))
    model.fit(
        x,
        x,
        batch_size=2,
        shuffle=False,
        validation_data=(x, x),
        verbose=0,
    )
    values = model.hyperparameter_values()
    assert all(abs(value - 0.05) > 1e-4 for value in values.values())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.hyperparameter_values() == values
    # States are not saved: both start from zero.
    assert loaded.evaluate(x, x, batch_size=2, verbose=0) == pytest.approx(
        model.evaluate(x, x, batch_size=2, verbose=0), rel=1e-5
    )
