"""What a recurrent layer does before its loop, and what in it."""

import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.layers.hyper_layer import provided
from tests.layers.rnn.recurrent_cases import BATCH
from tests.layers.rnn.recurrent_cases import FEATURES
from tests.layers.rnn.recurrent_cases import GATES
from tests.layers.rnn.recurrent_cases import KERNELS
from tests.layers.rnn.recurrent_cases import Case
from tests.layers.rnn.recurrent_cases import force
from tests.layers.rnn.recurrent_cases import make_inputs
from tests.layers.rnn.recurrent_cases import make_rows
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


def replace_fused_loop(layer, case, monkeypatch):
    """Computes it with Keras's layer; returns the list of its calls."""
    calls = []

    def fused_loop(
        sequences, initial_state, mask, kernel, recurrent_kernel, bias, **kwargs
    ):
        calls.append(kwargs)
        keras_layer = case.make_keras(
            [kernel, recurrent_kernel, bias],
            return_sequences=True,
            return_state=True,
            go_backwards=kwargs["go_backwards"],
        )
        outputs, *states = keras_layer(
            sequences, initial_state=initial_state, mask=mask
        )
        return outputs[:, -1], outputs, states

    monkeypatch.setattr(layer, "fused_loop", fused_loop)
    return calls


def run(layer, groups, **kwargs):
    sample = make_sample(make_rows(groups)) if groups else None
    with provided(layer, sample):
        return layer(make_inputs(), **kwargs)


class TestFusedLoop:
    @pytest.mark.parametrize("name", ["lstm", "gru"])
    @pytest.mark.parametrize("groups", [None, 1])
    @pytest.mark.parametrize(
        "arguments", [{}, {"return_sequences": True, "go_backwards": True}]
    )
    def test_single_row_takes_it_with_the_weights_of_the_row(
        self, name, groups, arguments, monkeypatch
    ):
        case = Case(name)
        rates = {"dropout": 0.3, "recurrent_dropconnect": 0.5, "seed": 1}
        fused, loop = (
            case.build(return_state=True, **rates, **arguments)
            for _ in range(2)
        )
        calls = replace_fused_loop(fused, case, monkeypatch)
        mask = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]] * 2, bool)
        ours, expected = (
            to_numpy(run(layer, groups, mask=mask, training=True))
            for layer in (fused, loop)
        )
        for one, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        (options,) = calls
        assert options["activation"] is fused.activation
        assert options["recurrent_activation"] is fused.recurrent_activation
        assert not fused.supports_jit

    @pytest.mark.parametrize(
        "arguments, groups",
        [
            ({}, 2),
            ({"use_cudnn": False}, 1),
            ({"recurrent_dropout": 0.3}, 1),
            ({"recurrent_dropout": stn.Float("h0", 0.0, 0.9)}, 1),
        ],
    )
    def test_others_do_not_take_it(self, arguments, groups, monkeypatch):
        case = Case("lstm")
        layer = case.build(**arguments)
        calls = replace_fused_loop(layer, case, monkeypatch)
        run(layer, groups)
        assert calls == []

    @pytest.mark.skipif(
        bool(tf.config.list_physical_devices("GPU")), reason="needs no GPU"
    )
    @pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before"])
    def test_insisting_on_it_without_a_gpu_is_refused(self, name):
        layer = Case(name).build(use_cudnn=True)
        for groups in (1, 2):
            with pytest.raises(ValueError, match="cannot use cuDNN here"):
                run(layer, groups)
        with pytest.raises(ValueError, match="use_cudnn=True was specified"):
            run(layer, None)

    def test_arguments_of_keras_reach_the_cell(self):
        layer = stn.layers.HyperLSTM(2, dropout=0.3, implementation=1)
        assert layer.cell.implementation == 1


def count_operations(graph_def):
    """Counts the operations of a graph, and of the loop's body in it."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    (loop,) = (
        node
        for node in graph_def.node
        if node.op in ("While", "StatelessWhile")
    )
    body = functions[loop.attr["body"].func.name].node_def
    return [node.op for node in graph_def.node], [node.op for node in body]


@pytest.mark.parametrize(
    "name, groups, computation, products",
    [
        ("lstm", None, GATES, 1),
        ("lstm", 1, GATES, 1),
        ("lstm", 2, KERNELS, 1),
        ("lstm", 2, GATES, 1),
        ("gru", 2, GATES, 1),
        ("gru_reset_before", 2, KERNELS, 2),
    ],
)
def test_body_of_the_loop_holds_only_the_recurrent_product(
    name, products, groups, computation, monkeypatch
):
    force(monkeypatch, computation)
    layer = Case(name).build(
        dropout=stn.Float("h0", 0.0, 0.9),
        recurrent_dropout=stn.Float("h0", 0.0, 0.9),
        recurrent_dropconnect=stn.Float("h1", 0.0, 0.9, per_example=False),
    )
    inputs = tf.TensorSpec((BATCH, None, FEATURES), tf.float32)
    sample = make_sample(make_rows(groups)) if groups else None

    @tf.function(input_signature=[inputs])
    def call(x):
        with provided(layer, sample):
            return layer(x, training=True)

    graph = call.get_concrete_function().graph.as_graph_def()
    outside, body = count_operations(graph)
    assert sum("MatMul" in op for op in body) == products
    assert any("MatMul" in op for op in outside)
    # Masks come from outside.
    assert not any("Random" in op for op in body)
    assert any("Random" in op for op in outside)
