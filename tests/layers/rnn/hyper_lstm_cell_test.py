import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import HyperLSTM
from keras_stn.layers import HyperLSTMCell
from keras_stn.layers.hyper_layer import provided
from tests.layers.rnn.official_lstm import drop_factors
from tests.layers.rnn.official_lstm import official_gradients
from tests.layers.rnn.official_lstm import our_weights
from tests.layers.rnn.recurrent_cases import GATES
from tests.layers.rnn.recurrent_cases import KERNELS
from tests.layers.rnn.recurrent_cases import force
from tests.layers.samples import make_sample
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

OPTIONS = {"return_sequences": True, "return_state": True}


def make_layer(kind, arrays, dtype, monkeypatch):
    """Our layer with the official weights, which drops what they dropped."""
    units, rate = arrays["h0"].shape[1], float(arrays["wdrop"])
    arguments = {"recurrent_dropconnect": rate, "dtype": dtype}
    if kind == "layer":
        layer = HyperLSTM(units, **OPTIONS, **arguments)
    else:
        cell = HyperLSTMCell(units, **arguments)
        layer = keras.layers.RNN(cell, dtype=dtype, **OPTIONS)
    cell = layer.cell
    cell.build_gates(arrays["h"].shape[1])
    layer.build((None, None, arrays["x"].shape[2]))
    weights = our_weights(arrays)
    for variable in cell.trainable_weights:
        variable.assign(weights.pop(variable.name))
    assert not weights
    factors = drop_factors(arrays["h2h_keep_mask"], rate)
    factors = tf.constant(factors, dtype)
    monkeypatch.setattr(cell.dropconnect, "factors", lambda *args: factors)
    return layer


@pytest.mark.parametrize("computation", [KERNELS, GATES])
@pytest.mark.parametrize("kind", ["layer", "cell"])
@pytest.mark.parametrize("file", [f"hyperlstmcell_s{i}" for i in (81, 82, 83)])
def test_outputs_and_gradients_equal_official(
    file, kind, computation, monkeypatch
):
    force(monkeypatch, computation)
    arrays = load_reference(file)
    layer = make_layer(kind, arrays, "float64", monkeypatch)
    x = tf.constant(arrays["x"].transpose(1, 0, 2))
    h, h0, c0 = (tf.constant(arrays[name]) for name in ("h", "h0", "c0"))
    outputs = {}

    def loss():
        with provided(layer, make_sample(h, "float64")):
            seq, hT, cT = layer(x, initial_state=[h0, c0], training=True)
        seq = tf.transpose(seq, (1, 0, 2))
        outputs.update(seq=seq.numpy(), hT=hT.numpy(), cT=cT.numpy())
        return tf.reduce_sum(seq * arrays["r"]) + tf.reduce_sum(
            cT * arrays["r_c"]
        )

    variables = layer.cell.trainable_weights
    value, gradients = value_and_gradients(loss, [x, h, h0, c0, *variables])
    outputs["loss"] = value
    names = ["x", "h", "h0", "c0", *(v.name for v in variables)]
    ours = dict(zip(names, gradients, strict=True))
    for name in ("h", "h0", "c0"):
        outputs[f"grad/{name}"] = ours[name]
    outputs["grad/x"] = ours["x"].transpose(1, 0, 2)
    for name, gradient in official_gradients(ours, arrays).items():
        outputs[f"grad/{name}"] = gradient
    expected = {"seq", "hT", "cT", "loss"}
    assert {n for n in arrays if n in expected or "grad/" in n} == set(outputs)
    for name, array in outputs.items():
        np.testing.assert_allclose(
            array, arrays[name], rtol=1e-5, atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("kind", ["layer", "cell"])
def test_outputs_equal_official_in_single_precision(kind, monkeypatch):
    arrays = load_reference("hyperlstmcell_s82")
    layer = make_layer(kind, arrays, "float32", monkeypatch)
    x, h, *state = (
        tf.constant(array, tf.float32)
        for array in (
            arrays["x"].transpose(1, 0, 2),
            arrays["h"],
            arrays["h0"],
            arrays["c0"],
        )
    )
    with provided(layer, make_sample(h)):
        seq, _, cT = layer(x, initial_state=state, training=True)
    for array, name in ((tf.transpose(seq, (1, 0, 2)), "seq"), (cT, "cT")):
        np.testing.assert_allclose(
            array.numpy(), arrays[name], rtol=1e-5, atol=1e-5
        )
