"""All numbers that the further course of a training depends on."""

import re

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state
from keras.src.random import seed_generator

from keras_stn import backend


def variables_of(model):
    """Every variable that training reads or changes.

    Args:
        model: A `SelfTuningModel`, built for its data.

    Returns:
        Dictionary from keys, the same in every process that makes the same
        model, to `keras.Variable`.
    """
    metrics = [*model.metrics, *vars(model._trackers).values()]
    if model._compile_loss is not None:
        metrics.append(model._compile_loss)
    parts = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "hyper_optimizer": model.hyper_optimizer.variables,
        "scale_optimizer": model.scale_optimizer.variables,
        "metrics": [v for metric in metrics for v in metric.variables],
        "states": model.streams.variables,
    }
    keys = {}
    for part, variables in parts.items():
        for variable in variables:
            keys.setdefault(id(variable), (part, variable))
    return {
        f"{part}/{i}": variable
        for i, (part, variable) in enumerate(keys.values())
    }


def describe(model):
    """What each variable is.

    Returns:
        Dictionary from the keys of `variables_of` to lists of a path, a shape
        and a dtype.
    """
    return {
        key: [
            variable.path,
            list(variable.shape),
            f"{variable.dtype} on {len(backend.copies(variable))} device(s)",
        ]
        for key, variable in variables_of(model).items()
    }


def difference(saved, found):
    """What two descriptions differ in.

    Args:
        saved: Dictionary, from `describe`.
        found: Dictionary, from `describe`.

    Returns:
        String, or `None` if they are of the same model.
    """
    for key in {**saved, **found}:
        one, other = saved.get(key), found.get(key)
        if (
            one is None
            or other is None
            or without_numbers(one) != without_numbers(other)
        ):
            return f"{to_words(one)} in the checkpoint, {to_words(other)} now"
    return None


def without_numbers(description):
    """Leaves out the numbers by which Keras tells equal names apart."""
    path, *rest = description
    return [re.sub(r"_\d+(?=_|/|$)", "", path), *rest]


def to_words(description):
    if description is None:
        return "nothing"
    path, shape, dtype = description
    return f"'{path}' of shape {tuple(shape)} and dtype {dtype}"


def read(model):
    """The values of all variables, and of Keras's global seed.

    Returns:
        Dictionary of NumPy arrays.
    """
    values = {
        f"{key}/{i}": to_plain(ops.convert_to_numpy(copy))
        for key, variable in variables_of(model).items()
        for i, copy in enumerate(backend.copies(variable))
    }
    generator = global_state.get_global_attribute(
        seed_generator.GLOBAL_SEED_GENERATOR
    )
    # To make one would draw from Python's random numbers.
    if generator is not None:
        values["global_seed"] = ops.convert_to_numpy(generator.state)
    return values


def assign(model, values):
    """Gives all variables, and Keras's global seed, their values.

    Args:
        model: The model.
        values: Dictionary, from `read`.
    """
    for key, variable in variables_of(model).items():
        dtype = keras.backend.standardize_dtype(variable.dtype)
        for i, copy in enumerate(backend.copies(variable)):
            copy.assign(from_plain(values[f"{key}/{i}"], dtype))
    if "global_seed" in values:
        state = seed_generator.global_seed_generator().state
        state.assign(values["global_seed"])


def to_plain(array):
    """An array of a dtype that NumPy can save, with the same bits."""
    if array.dtype.isbuiltin == 1:
        return array
    return array.view(f"uint{8 * array.dtype.itemsize}")


def from_plain(array, dtype):
    """The inverse of `to_plain`."""
    if str(array.dtype) == dtype:
        return array
    # NumPy knows the name of bfloat16 and its like from this package only.
    import ml_dtypes

    return array.view(np.dtype(getattr(ml_dtypes, dtype)))
