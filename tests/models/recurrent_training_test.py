"""Training with recurrent layers whose dropouts are tuned."""

import keras
import numpy as np

import keras_stn as stn
from tests.gates import open_gates

RNG = np.random.default_rng(0)
# Whole cycles, of which there is one graph.
X = RNG.normal(size=(32, 5, 3)).astype("float32")
Y = X.sum((1, 2))[:, None]


def test_rates_and_gates_move():
    rates = {
        "dropout": stn.Float("dropout", 0.0, 0.9, 0.2),
        "recurrent_dropout": stn.Float("recurrent", 0.0, 0.9, 0.2),
        "recurrent_dropconnect": stn.Float(
            "dropconnect", 0.0, 0.9, 0.2, per_example=False
        ),
    }
    recurrent = [
        stn.layers.HyperLSTM(4, return_sequences=True, **rates),
        keras.layers.RNN(stn.layers.HyperGRUCell(4, **rates)),
    ]
    network = keras.Sequential(
        [keras.Input((5, 3)), *recurrent, keras.layers.Dense(1)]
    )
    model = stn.SelfTuningModel(network, groups=4)
    model.compile(
        keras.optimizers.SGD(0.05),
        "mse",
        hyper_optimizer=keras.optimizers.Adam(0.05),
        jit_compile=False,
    )
    # In so few steps they would hardly leave their zeros.
    open_gates(model)
    weights = [v for layer in recurrent for v in layer.trainable_weights]
    before = [v.numpy() for v in weights]
    history = model.fit(
        X, Y, batch_size=8, validation_data=(X, Y), epochs=3, verbose=0
    )
    assert len(weights) == 18
    for variable, start in zip(weights, before):
        assert np.all(np.isfinite(variable))
        # Every gate, so every hyperparameter for every output.
        assert np.all(variable.numpy() != start), variable.path
    values = model.hyperparameter_values()
    assert values.keys() == {"dropout", "recurrent", "dropconnect"}
    assert all(abs(value - 0.2) > 1e-3 for value in values.values())
    assert history.history["loss"][-1] < history.history["loss"][0]
