"""The layers of a model's graph, and the graph again with other layers."""

import contextlib
from typing import NamedTuple

import keras
from keras.src.models.functional import Functional

# Keras's layers around other layers, and where those are.
WRAPPERS = {
    keras.layers.Bidirectional: ("forward_layer", "backward_layer"),
    keras.layers.RNN: ("cell",),
    keras.layers.StackedRNNCells: ("cells",),
    keras.layers.TimeDistributed: ("layer",),
}

# The arguments of the wrappers that hold these layers.
INNER_ARGUMENTS = ("layer", "backward_layer", "cell", "cells")


class Place(NamedTuple):
    """A layer that is no model and no wrapper, and where it stands.

    Attributes:
        layer: The layer.
        path: Tuple of the names of the models and wrappers around it, without
            the outermost.
        is_frozen: Boolean, whether its weights are not trained.
        bidirectional: The `Bidirectional` that made both its directions of
            this layer, or `None`.
    """

    layer: keras.layers.Layer
    path: tuple
    is_frozen: bool
    bidirectional: keras.layers.Layer | None

    @property
    def name(self):
        """The layer's name; that of both where it is one of two directions."""
        if self.bidirectional is None:
            return self.layer.name
        name = self.layer.name.removeprefix("forward_")
        return name.removeprefix("backward_")

    @property
    def owner(self):
        """What has the name: equal for the two directions."""
        return id(self.bidirectional or self.layer)


def is_graph(layer):
    """Whether a layer is a model whose graph of layers is known."""
    return isinstance(layer, Functional | keras.Sequential)


def inner_layers(layer):
    """The layers inside one of Keras's wrappers, as a list."""
    inner = [getattr(layer, name) for name in WRAPPERS.get(type(layer), ())]
    return keras.tree.flatten(inner)


def find_places(model):
    """All layers of a model that can be replaced, each once, in order.

    Args:
        model: A functional or sequential model.

    Returns:
        List of `Place`.
    """
    places = {}

    def visit(layer, path, is_frozen, bidirectional=None):
        is_frozen = is_frozen or not layer.trainable
        inner = layer.layers if is_graph(layer) else inner_layers(layer)
        if not inner:
            place = Place(layer, path, is_frozen, bidirectional)
            places.setdefault(id(layer), place)
            return
        if isinstance(layer, keras.layers.Bidirectional) and are_twins(*inner):
            bidirectional = layer
        if layer is not model:
            path = (*path, layer.name)
        for one in inner:
            visit(one, path, is_frozen, bidirectional)

    visit(model, (), False)
    return list(places.values())


def are_twins(forward, backward):
    """Whether two layers differ in nothing but their direction."""
    configs = [layer.get_config() for layer in (forward, backward)]
    for config in configs:
        config["name"] = config["go_backwards"] = None
    return type(forward) is type(backward) and configs[0] == configs[1]


def rebuild(model, replace):
    """A model with the same graph and other layers, with new weights.

    Models and Keras's wrappers inside of it are rebuilt as well. What was
    shared is shared again.

    Args:
        model: A functional or sequential model.
        replace: Callable that gets a layer of `find_places` and returns an
            unbuilt one.

    Returns:
        A model of the class of `model`, which is not compiled.
    """
    replacements = {}

    def convert(layer):
        if id(layer) not in replacements:
            replacements[id(layer)] = make(layer)
        return replacements[id(layer)]

    def make(layer):
        if is_graph(layer):
            # Keras would compile the clone, by way of a serialization that
            # losses of one's own do not survive.
            with uncompiled(layer):
                return keras.models.clone_model(
                    layer, copy_inputs(layer), clone_function=convert
                )
        inner = inner_layers(layer)
        if inner:
            return rewrap(layer, [convert(one) for one in inner])
        if not isinstance(layer, keras.layers.Layer):
            # An operation of `keras.ops`.
            return copy_layer(layer)
        return replace(layer)

    return convert(model)


def copy_inputs(model):
    """New inputs like a functional model's, which Keras would rename."""
    if isinstance(model, keras.Sequential):
        return None

    def copy(tensor):
        layer = tensor._keras_history.operation
        return type(layer).from_config(layer.get_config()).output

    return keras.tree.map_structure(copy, model.input)


def copy_layer(layer):
    """A new layer like another one, without its weights.

    Args:
        layer: A layer.

    Returns:
        A layer of the same class, unbuilt.

    Raises:
        ValueError: If the layer's class does not let it be made again.
    """
    if isinstance(layer, keras.layers.Lambda):
        # A function of one's own does not survive a configuration.
        return keras.layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"The layer '{layer.name}' cannot be made anew from its "
            "configuration. Give its class a `get_config`, and pass "
            "`**kwargs` of its constructor on to `keras.layers.Layer`. "
            f"Received: {type(layer).__name__}. {error}"
        ) from error


def rewrap(wrapper, inner):
    """A wrapper with the arguments of another one around other layers."""
    config = wrapper.get_config()
    for name in INNER_ARGUMENTS:
        config.pop(name, None)
    if isinstance(wrapper, keras.layers.Bidirectional):
        config["backward_layer"] = inner.pop()
    if isinstance(wrapper, keras.layers.StackedRNNCells):
        inner = [inner]
    return type(wrapper)(*inner, **config)


@contextlib.contextmanager
def uncompiled(model):
    """Lets a model look as if it had not been compiled."""
    is_compiled = model.compiled
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = is_compiled
