"""Everything that a model's configuration says, as a flat dictionary."""

from typing import NamedTuple

from keras_stn.conversion.graph import find_places

# What Keras itself makes up anew in each build.
CHANGING = ("name", "seed", "build_config")


class Entry(NamedTuple):
    """A place in a model's configuration.

    Attributes:
        owner: The index of a layer, or the name of what else `compile` takes.
        argument: String, the argument.
        rest: Tuple, where in the argument's value.
    """

    owner: int | str
    argument: str
    rest: tuple = ()


def describe(model):
    """All numbers and words in the configuration of a compiled model.

    Layers are counted, not called by name, since Keras gives the layers of
    each build other names.

    Args:
        model: A functional or sequential model.

    Returns:
        Dictionary from each `Entry` to a number, a string or `None`.
    """
    description = {}
    for index, place in enumerate(find_places(model)):
        description[Entry(index, "class")] = type(place.layer).__name__
        add(description, index, configuration(place.layer))
    if model.compiled:
        add(description, "optimizer", configuration(model.optimizer))
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            value = model._compile_config.config.get(name)
            add(description, name, {name: value})
    return description


def add(description, owner, config):
    for (argument, *rest), leaf in leaves(config):
        description[Entry(owner, argument, tuple(rest))] = leaf


def leaves(value, path=()):
    """Pairs of a path and a leaf, of nested configurations."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in CHANGING:
                yield from leaves(one, (*path, key))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))
    elif value is None or isinstance(value, bool | int | float | str):
        yield path, value
    elif hasattr(value, "get_config"):
        yield from leaves(configuration(value), path)
    else:
        # An address in memory would differ each time.
        yield path, type(value).__name__


def configuration(value):
    """The configuration of a layer, optimizer, loss or metric, or nothing."""
    try:
        return value.get_config()
    except (NotImplementedError, TypeError):
        return {}


def differences(first, second):
    """The entries in which two descriptions differ, in their order."""
    return [
        entry
        for entry in {**first, **second}
        if first.get(entry, "missing") != second.get(entry, "missing")
    ]
