"""The graph that TensorFlow makes of a cycle, after its own optimization.

If it loses the order of a read and a write of one variable, a gradient is now
and then that of weights which are already updated: training is nearly right,
and never twice the same.
"""

import collections
import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

import keras_stn as stn
from keras_stn.models.alternation import Cycle

RNG = np.random.default_rng(0)


@contextlib.contextmanager
def optimized_graphs():
    """Fills a list with the graphs of the functions that run inside."""
    graphs = []
    context.enable_run_metadata()
    try:
        yield graphs
        metadata = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    graphs += [
        functions.post_optimization_graph
        for functions in metadata.function_graphs
    ]


def unordered(graph):
    """Pairs of operations on one variable, a write and another, in no order."""
    nodes = {node.name: node for node in graph.node}

    def inputs(node):
        names = [name.lstrip("^").split(":")[0] for name in node.input]
        return [nodes[name] for name in names if name in nodes]

    ancestors = {}

    def find_ancestors(node):
        if node.name not in ancestors:
            ancestors[node.name] = found = set()
            for before in inputs(node):
                found |= {before.name} | find_ancestors(before)
        return ancestors[node.name]

    users = collections.defaultdict(list)
    for node in graph.node:
        for before in inputs(node):
            if before.attr["T"].type == tf.resource.as_datatype_enum:
                users[before.name].append(node)
    return [
        (write.name, other.name)
        for nodes_of_variable in users.values()
        for write in nodes_of_variable
        for other in nodes_of_variable
        if write.op != "ReadVariableOp"
        and write is not other
        and write.name not in find_ancestors(other)
        and other.name not in find_ancestors(write)
    ]


def penalized():
    penalty = stn.regularizers.L1L2(
        stn.Float("l1", 1e-6, 1.0, 1e-2, "log", per_example=False),
        stn.Float("l2", 1e-6, 1.0, 1e-2, "log", per_example=False),
    )
    return [
        keras.layers.Dense(5, "tanh", kernel_regularizer=penalty),
        stn.layers.HyperDense(
            3, kernel_regularizer=penalty, bias_regularizer=penalty
        ),
    ]


def convolutional():
    l2 = stn.Float("l2", 1e-6, 1.0, 1e-2, "log", per_example=False)
    return [
        keras.layers.Reshape((3, 3, 1)),
        stn.layers.GaussianNoise(stn.Float("noise", 0.0, 1.0, 0.1)),
        stn.layers.HyperConv2D(
            2, 2, kernel_regularizer=stn.regularizers.L2(l2)
        ),
        keras.layers.BatchNormalization(),
        stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, 0.2)),
        keras.layers.Flatten(),
        stn.layers.HyperDense(3),
    ]


def recurrent():
    drop = stn.Float("drop", 0.0, 0.9, 0.2, per_example=False)
    return [
        keras.layers.Reshape((3, 3)),
        stn.layers.HyperLSTM(
            2, kernel_regularizer=stn.regularizers.L2(drop), unroll=True
        ),
        stn.layers.HyperDense(3),
    ]


@pytest.mark.parametrize("layers", [penalized, convolutional, recurrent])
def test_every_read_and_write_of_a_variable_keep_their_order(layers):
    model = stn.SelfTuningModel(
        keras.Sequential([keras.Input((9,)), *layers()]), groups=4
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    batch = (
        tf.constant(RNG.normal(size=(8, 9)), tf.float32),
        tf.constant(RNG.integers(0, 3, size=8)),
    )
    model.fit(*batch, validation_data=batch, batch_size=8, verbose=0)
    cycle = Cycle((batch, batch), (batch,))
    with optimized_graphs() as graphs:
        tf.function(model.train_step)(cycle)
    assert any(graph.node for graph in graphs)
    assert not [pair for graph in graphs for pair in unordered(graph)]
