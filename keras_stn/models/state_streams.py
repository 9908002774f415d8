"""The states that stateful layers carry from batch to batch."""

import contextlib

import keras
from keras import ops
from keras.src.utils import tracking

from keras_stn.layers.hyper_layer import find_layers


class StateStreams:
    """Keeps the states of training, tuning and evaluation apart.

    A stateful layer has one set of states. A model that trains, tunes and
    evaluates in turn reads three texts at once, each from where it was left,
    so every kind of step gets a set of its own. The layer's own set is that
    of evaluation, and of calls outside of a step.

    Args:
        network: The network, built.
    """

    def __init__(self, network):
        layers = [
            layer
            for layer in stateful_layers(network)
            if getattr(layer, "states", None) is not None
        ]
        self._sets = {
            "training": [(layer, copy_states(layer)) for layer in layers],
            "tuning": [(layer, copy_states(layer)) for layer in layers],
            "evaluation": [(layer, layer.states) for layer in layers],
        }

    @contextlib.contextmanager
    def entered(self, kind):
        """Gives the layers the states of one kind of step.

        Args:
            kind: `"training"`, `"tuning"` or `"evaluation"`.
        """
        try:
            for layer, states in self._sets[kind]:
                set_states(layer, states)
            yield
        finally:
            for layer, states in self._sets["evaluation"]:
                set_states(layer, states)

    @property
    def variables(self):
        """The states of all kinds of steps."""
        return [
            state
            for pairs in self._sets.values()
            for _, states in pairs
            for state in keras.tree.flatten(states)
        ]

    def reset(self, kind, where=True):
        """Sets the states of one kind of step to zero.

        Args:
            kind: `"training"`, `"tuning"` or `"evaluation"`.
            where: Boolean or boolean scalar tensor; if it is `False` the
                states stay.
        """
        for _, states in self._sets[kind]:
            for state in keras.tree.flatten(states):
                zeros = ops.zeros(state.shape, state.dtype)
                state.assign(ops.where(where, zeros, state))


def is_stateful(network):
    """Whether a network carries states from batch to batch."""
    return bool(stateful_layers(network))


def stateful_layers(network):
    return [
        layer
        for layer in find_layers(network)
        if getattr(layer, "stateful", False)
    ]


def copy_states(layer):
    """New variables like those of a stateful layer, at zero."""
    return keras.tree.map_structure(
        lambda state: keras.Variable(
            ops.zeros(state.shape, state.dtype),
            trainable=False,
            name="rnn_state",
        ),
        layer.states,
    )


# The states are no weights, to Keras either.
@tracking.no_automatic_dependency_tracking
def set_states(layer, states):
    layer.states = states
