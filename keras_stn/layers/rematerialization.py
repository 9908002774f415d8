"""Computing a layer again for its gradients, as `keras.RematScope` asks for.

Keras's own way on TensorFlow takes tensors as positional arguments alone, and
gives no gradient to what a layer gets otherwise, such as its sample.
"""

import functools

import keras
from keras import ops
from keras.src.backend import AutocastScope

from keras_stn import backend
from keras_stn.hyperparameters.sample import Sample


def rematerialized(layer, call):
    """A layer's call that keeps its arguments and no results inside of it.

    Args:
        layer: The layer. It must not draw random numbers, which would be
            others the second time.
        call: Its method `call`.

    Returns:
        A callable with the arguments of `call`.
    """

    @functools.wraps(call)
    def wrapper(*args, **kwargs):
        leaves = keras.tree.flatten((args, kwargs))
        tensors = [tensor for leaf in leaves for tensor in tensors_of(leaf)]
        is_silent = any(
            isinstance(leaf, Sample) and leaf.is_silent for leaf in leaves
        )
        unused = layer.response_variables() if is_silent else []
        unused = {id(variable) for variable in unused}
        # Those that may have a gradient.
        variables = [
            variable
            for variable in layer.variables
            if keras.backend.is_float_dtype(variable.dtype)
            and id(variable) not in unused
        ]
        with AutocastScope(None):
            values = [ops.convert_to_tensor(v) for v in variables]

        def function(*tensors):
            rest = iter(tensors)
            # TensorFlow's graph optimizer loses the order of a second reading
            # of a weight and its update: the weight is read once.
            scope = keras.StatelessScope(
                [(v, next(rest)) for v in variables], initialize_variables=False
            )
            filled = [fill(leaf, rest) for leaf in leaves]
            args_again, kwargs_again = keras.tree.pack_sequence_as(
                (args, kwargs), filled
            )
            # On the way back Keras is not there to cast the weights.
            with scope, AutocastScope(layer.compute_dtype):
                return call(*args_again, **kwargs_again)

        return backend.recompute(function)(*values, *tensors)

    return wrapper


def tensors_of(leaf):
    """The tensors that an argument consists of, in a list."""
    if isinstance(leaf, Sample):
        return [leaf.response_inputs, leaf.values]
    return [leaf] if ops.is_tensor(leaf) else []


def fill(leaf, tensors):
    """An argument like `leaf`, made of the next tensors of an iterator."""
    if isinstance(leaf, Sample):
        return Sample(
            next(tensors),
            next(tensors),
            leaf.declarations,
            is_silent=leaf.is_silent,
        )
    return next(tensors) if ops.is_tensor(leaf) else leaf
