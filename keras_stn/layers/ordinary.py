"""The ordinary Keras layer that does what a tuned one does at fixed values."""

import inspect

import keras

from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.regularizers.tunable_regularizer import TunableRegularizer

# What every Keras layer takes beside the arguments of its own.
COMMON_ARGUMENTS = ("name", "trainable", "dtype", "activity_regularizer")

PREFIX = "keras_stn>"


def ordinary(layer, values, keras_class=None, arguments=None):
    """An unbuilt Keras layer with a layer's configuration at given values.

    Args:
        layer: A layer of one of Keras's classes, or of a class that extends
            one.
        values: Dictionary from the names of hyperparameters to numbers.
        keras_class: The class of the result. If `None`, the first of the
            layer's bases that is Keras's.
        arguments: Dictionary of arguments that Keras's class takes in another
            form, or `None`.

    Returns:
        A Keras layer.
    """
    keras_class = keras_class or ordinary_class(type(layer))
    known = [*inspect.signature(keras_class).parameters, *COMMON_ARGUMENTS]
    config = {
        name: value
        for name, value in layer.get_config().items()
        if name in known
    }
    return keras_class.from_config(
        {**at_values(config, values), **(arguments or {})}
    )


def ordinary_class(layer_class):
    """The first of a class's bases, or itself, that is Keras's own."""
    return next(
        base
        for base in layer_class.__mro__
        if base.__module__.partition(".")[0] == "keras"
    )


def at_values(config, values):
    """A configuration with numbers in place of hyperparameters.

    Args:
        config: A serialized configuration, of any nesting.
        values: Dictionary from the names of hyperparameters to numbers, or
            to lists of numbers, of which the mean is taken.

    Returns:
        The configuration, free of this package's hyperparameters and
        regularizers.

    Raises:
        ValueError: If a hyperparameter has no value.
    """
    if isinstance(config, list | tuple):
        return type(config)(at_values(value, values) for value in config)
    if not isinstance(config, dict):
        return config
    if str(config.get("registered_name")).startswith(PREFIX):
        value = keras.saving.deserialize_keras_object(config)
        if isinstance(value, HyperParameter):
            return value_of(value, values)
        if isinstance(value, TunableRegularizer):
            plain = ordinary(value, values)
            return keras.saving.serialize_keras_object(plain)
    return {key: at_values(value, values) for key, value in config.items()}


def value_of(hyperparameter, values):
    """The number that a hyperparameter has among `values`."""
    if hyperparameter.name not in values:
        raise ValueError(
            f"The hyperparameter '{hyperparameter.name}' has no value; make a "
            "new `SelfTuningModel` after adding layers to a network. Received: "
            f"values={values}"
        )
    value = values[hyperparameter.name]
    # Keras's layers take one number.
    return sum(value) / len(value) if isinstance(value, list) else value


def only_in_training(layer):
    """What takes the place of a layer that does nothing to predictions."""
    return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
