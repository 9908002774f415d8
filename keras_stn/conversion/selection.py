import inspect

import keras


def select(response, layers):
    """The layers that an argument `response` picks.

    Args:
        response: `None` for all; the name of a layer, a class of layers, a
            callable that gets a layer and returns a boolean, or a list of
            these.
        layers: List of layers.

    Returns:
        List of layers.

    Raises:
        ValueError: If a part of `response` is none of these or picks no
            layer.
    """
    if response is None:
        return list(layers)
    picked = []
    for one in response if isinstance(response, list | tuple) else [response]:
        matches = matcher(one)
        found = [layer for layer in layers if matches(layer)]
        if not found:
            raise ValueError(
                "`response` picks no layer. Give names of layers, classes, "
                "predicates, or `None` for all layers. Received: "
                f"response={one!r}; the layers are "
                f"{', '.join(layer.name for layer in layers)}"
            )
        picked += found
    return picked


def matcher(one):
    if isinstance(one, str):
        return lambda layer: layer.name == one
    if inspect.isclass(one) and issubclass(one, keras.layers.Layer):
        return lambda layer: isinstance(layer, one)
    if callable(one):
        return one
    raise ValueError(
        "`response` must be a layer's name, a class of layers, a callable "
        "that gets a layer, a list of these, or `None`. "
        f"Received: response={one!r}"
    )
