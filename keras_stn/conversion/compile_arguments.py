"""How a model was compiled, for another one to be compiled like it."""

import keras

from keras_stn.layers.ordinary import ordinary
from keras_stn.losses.tunable_smoothing import TunableSmoothing


def compile_arguments(model):
    """The arguments that a model was compiled with, for another one.

    Optimizers and metrics keep variables, so they come as new ones.

    Args:
        model: A compiled `keras.Model`.

    Returns:
        Dictionary of arguments of `compile`.
    """
    # The arguments as they were given: a serialization loses what is not
    # registered.
    arguments = dict(model._compile_config.config)
    # As it is now: its learning rate may have been changed since.
    arguments["optimizer"] = renewed(model.optimizer)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = keras.tree.map_structure(renewed, arguments[name])
    if arguments["jit_compile"] == model._resolve_auto_jit_compile():
        # It depends on the layers, and there will be others.
        arguments["jit_compile"] = "auto"
    return arguments


def renewed(value):
    """A new optimizer or metric of the same configuration."""
    if isinstance(value, keras.optimizers.Optimizer | keras.metrics.Metric):
        return type(value).from_config(value.get_config())
    return value


def ordinary_compile_arguments(model, values):
    """The same without what Keras alone could not load.

    Args:
        model: A compiled `SelfTuningModel`.
        values: Dictionary from the names of hyperparameters to numbers, which
            take their place in losses.

    Returns:
        Dictionary of arguments of `compile`. Metrics of this package are left
        out, and so is the label smoothing of a loss that has none in Keras.
    """
    arguments = compile_arguments(model)

    def to_keras(loss):
        if isinstance(loss, TunableSmoothing):
            return ordinary(loss, values)
        return loss

    arguments["loss"] = keras.tree.map_structure(to_keras, arguments["loss"])
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = only_keras(arguments[name])
    return arguments


def only_keras(metrics):
    """A structure of metrics without those of this package."""
    if isinstance(metrics, dict):
        return {name: only_keras(value) for name, value in metrics.items()}
    if isinstance(metrics, list | tuple):
        kept = [only_keras(value) for value in metrics]
        return [value for value in kept if value is not None]
    is_ours = type(metrics).__module__.partition(".")[0] == "keras_stn"
    return None if is_ours else metrics
