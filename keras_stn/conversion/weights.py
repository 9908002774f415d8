"""What layers hold, from one model to another of the same graph."""

import tempfile

import keras

from keras_stn.layers.response_layer import ResponseLayer


def copy_weights(source, target, sample=None):
    """Gives a rebuilt model the weights of the one it was made from.

    And what is frozen of it, and the vocabularies of its lookup layers.

    Args:
        source: A layer or model, built.
        target: A layer or model of the same structure, built, with other
            classes here and there.
        sample: A `Sample` of one row, to give ordinary layers the weights
            W(λ) of hyper layers; or `None` for the weights W.

    Raises:
        RuntimeError: If `target` has a weight that `source` has not.
    """
    copied = set()

    def copy(source, target):
        if id(target) in copied:
            return
        copied.add(id(target))
        copy_trainable(source, target)
        if type(source) is type(target) and not is_responding(source):
            copy_state(source, target)
        else:
            copy_by_name(source, target, sample)
        for pair in pairs(source, target):
            copy(*pair)

    copy(source, target)


def is_responding(layer):
    return isinstance(layer, ResponseLayer)


def own_variables(layer):
    """The weights of a layer itself, without those of layers inside it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def pairs(source, target):
    """The layers inside of two layers that belong together."""
    if type(source) is type(target):
        return zip(source._layers, target._layers)
    # A hyper layer has layers that drop, without weights, which Keras's has
    # not.
    return [
        (vars(source)[name], layer)
        for name, layer in vars(target).items()
        if isinstance(layer, keras.layers.Layer) and name in vars(source)
    ]


def copy_trainable(source, target):
    """Freezes a layer or variable as another one is."""
    if target.trainable != source.trainable:
        target.trainable = source.trainable


def copy_state(source, target):
    store = {}
    source.save_own_variables(store)
    if store:
        target.load_own_variables(store)
    for old, new in zip(own_variables(source), own_variables(target)):
        copy_trainable(old, new)
    if hasattr(source, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)


def copy_by_name(source, target, sample):
    known = {variable.name: variable for variable in own_variables(source)}
    effective = []
    if sample is not None and is_responding(source):
        effective = source.responding
    for variable in own_variables(target):
        name = variable.name
        if name in known:
            value = known[name]
            if name in effective:
                value = source.weight_at(name, sample)
            variable.assign(value)
            copy_trainable(known[name], variable)
        elif not name.startswith("response_"):
            raise RuntimeError(
                f"The layer '{target.name}' has a weight '{name}' that "
                f"'{source.name}' has not. Received: {list(known)}"
            )
