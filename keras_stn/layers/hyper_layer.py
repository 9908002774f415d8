"""How a layer receives hyperparameters.

Keras carries `training` to every layer through a call context; the same
mechanism carries the `Sample` of hyperparameters. This is the only file that
touches it.
"""

import contextlib
import math

import keras
from keras import ops
from keras.src.backend.common import global_state

from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_single
from keras_stn.hyperparameters.step import sampled
from keras_stn.hyperparameters.step import value_without_sample
from keras_stn.layers.ordinary import ordinary
from keras_stn.layers.ordinary import ordinary_class
from keras_stn.layers.tunable_argument import TunableArgument
from keras_stn.regularizers.tunable_regularizer import TunableRegularizer

CONTEXT_ARGUMENT = "hyperparameters"


class HyperLayer(keras.layers.Layer):
    """Mixin for layers that receive hyperparameters.

    Put it before a Keras layer among the bases and give `call` an argument
    `hyperparameters=None`. Inside a `SelfTuningModel` it holds a `Sample`; it
    is `None` in a network on its own, which then acts as an ordinary network
    at the starting values, or at those of a schedule that is replayed.

    Example:

    ```python
    class Scale(HyperLayer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = self.declare(factor, "factor")

        def call(self, inputs, hyperparameters=None):
            return inputs * self.resolve(self.factor, inputs, hyperparameters)
    ```
    """

    # Whether an argument may have a value for each unit or channel, the last
    # axis of the inputs.
    takes_values_per_unit = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._register_call_context_args(CONTEXT_ARGUMENT)
        self.declarations = []
        self._declared_arguments = []

    def __call__(self, *args, **kwargs):
        # Keras records the arguments of calls on symbols, and would repeat
        # the sample for ever.
        leaves = keras.tree.flatten((args, kwargs))
        if any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            with provided(self, None):
                return super().__call__(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    # Keras asks for it inside of a `keras.RematScope`.
    def rematerialized_call(self, layer_call, *args, **kwargs):
        call = super().rematerialized_call(layer_call, *args, **kwargs)
        mode = getattr(self._remat_mode, "mode", None)
        if call is layer_call or mode == "activations":
            return call
        return self.rematerialize(layer_call)

    def rematerialize(self, call):
        """Makes of `call` what is computed again for the gradients.

        By default it stays as it is: what draws random numbers would draw
        others the second time.

        Args:
            call: The method `call`.

        Returns:
            A callable with the same arguments.
        """
        return call

    def received(self, hyperparameters):
        """The sample, also where Keras runs `call` without `__call__`.

        `TimeDistributed` does so. Begin an own `call` with it.

        Args:
            hyperparameters: The argument of `call`.

        Returns:
            A `Sample`, or `None` outside of a `SelfTuningModel`.
        """
        context = global_state.get_global_attribute("current_call_ctx")
        if hyperparameters is not None or context is None:
            return hyperparameters
        return context.get_value(CONTEXT_ARGUMENT)

    def declare(self, value, argument=None, high=math.inf, kind=float):
        """Registers an argument that may be tuned.

        Args:
            value: A number, a `Float` or `Int`, or the configuration of one.
            argument: String, the name of the argument in the configuration,
                by which `SelfTuningModel.from_keras` can tune a number; or
                `None` if it shall not.
            high: Number, the largest value that makes sense.
            kind: `float`, or `int` if numbers are integers.

        Returns:
            The number or the hyperparameter.

        Raises:
            ValueError: If it has a size and the layer takes one number.
        """
        value = hyperparameter.get(value)
        if not self.takes_values_per_unit:
            check_single(argument or "value", value)
        if isinstance(value, HyperParameter):
            self.declarations.append(value)
        if argument is not None:
            self._declared_arguments.append(
                TunableArgument(argument, value, high, kind)
            )
        return value

    def tunable_arguments(self):
        """The arguments that are tuned or could be, with their values.

        A layer that hands arguments on to layers inside of it adds theirs.

        Returns:
            List of `TunableArgument`.
        """
        return list(self._declared_arguments)

    def declare_strength(self, name, value, high):
        """Registers a strength, which must not be negative.

        Args:
            name: String, the name of the argument.
            value: Number or hyperparameter.
            high: Number, the largest strength that makes sense.

        Returns:
            The number or the hyperparameter.

        Raises:
            ValueError: If the strength or its range is out of bounds.
        """
        value = hyperparameter.get(value)
        is_tuned = isinstance(value, HyperParameter)
        ends = (value.low, value.high) if is_tuned else (value, value)
        if not (ends[0] >= 0 and ends[1] <= high):
            raise ValueError(
                f"`{name}` of a `{type(self).__name__}` layer, or its range, "
                f"must lie between 0 and {high}. Received: {name}={value}"
            )
        return self.declare(value, name, high)

    def resolve(
        self, value, inputs, hyperparameters, continuous=False, dtype=None
    ):
        """The value of an argument for each example of `inputs`.

        Args:
            value: A number, or a declared hyperparameter.
            inputs: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`, or `None`.
            continuous: Boolean. If `True`, an `Int` comes as it is before it
                is rounded down, between `value` and `value + 1`, for
                `keras_stn.relaxation.relax`; what is a fixed integer comes as
                the middle of its step, `value + 0.5`.
            dtype: The dtype of the result. If `None`, the layer's compute
                dtype.

        Returns:
            A Python number, or a tensor that broadcasts against `inputs`, of
            shape `(batch_size, 1, ...)` or `(1, 1, ...)`. The last axis is
            that of the inputs if the hyperparameter has a size.

        Raises:
            ValueError: If the model does not know the hyperparameter, or its
                size is not that of the inputs' last axis.
        """
        values = self.resolve_groups(value, hyperparameters, continuous, dtype)
        if not ops.is_tensor(values):
            return values
        values = to_examples(values, inputs)
        rank = len(inputs.shape)
        if len(values.shape) == 1:
            return ops.reshape(values, (-1,) + (1,) * (rank - 1))
        if inputs.shape[-1] != value.size:
            raise ValueError(
                f"The layer '{self.name}' needs as many values of the "
                f"hyperparameter '{value.name}' as its inputs have units or "
                "channels. Give it that `size`. Received: "
                f"size={value.size}, inputs.shape={tuple(inputs.shape)}"
            )
        return ops.reshape(values, (-1,) + (1,) * (rank - 2) + (value.size,))

    def resolve_groups(
        self, value, hyperparameters, continuous=False, dtype=None
    ):
        """The value of an argument for each group of examples.

        Args:
            value: As in `resolve`.
            hyperparameters: As in `resolve`.
            continuous: As in `resolve`.
            dtype: As in `resolve`.

        Returns:
            A Python number, or a tensor of shape `(G,)`, or `(G, size)` if
            the hyperparameter has a size.

        Raises:
            ValueError: If the model does not know the hyperparameter.
        """
        if not isinstance(value, HyperParameter):
            return value + 0.5 if continuous else value
        hyperparameters = self.received(hyperparameters)
        if hyperparameters is None:
            values = value_without_sample(value, continuous)
            if not ops.is_tensor(values):
                return values
            return ops.cast(values, dtype or self.compute_dtype)
        if value.name not in hyperparameters:
            raise ValueError(
                f"The layer '{self.name}' uses the hyperparameter "
                f"'{value.name}', which the model around it does not know. "
                "Make a new `SelfTuningModel` after adding layers to a "
                "network."
            )
        values = (
            hyperparameters.continuous(value.name)
            if continuous
            else hyperparameters[value.name]
        )
        return ops.cast(values, dtype or self.compute_dtype)

    def to_keras(self, values):
        """The ordinary Keras layer that predicts as this one does.

        A layer that extends one of Keras's becomes that one. Define it for
        others, so that `SelfTuningModel.to_keras` can convert them.

        Args:
            values: Dictionary from the names of hyperparameters to numbers.

        Returns:
            A Keras layer, unbuilt.

        Raises:
            ValueError: If Keras has no such layer.
        """
        if ordinary_class(type(self)) is keras.layers.Layer:
            raise ValueError(
                f"The layer '{self.name}' is not one of Keras's. Give its "
                "class a method `to_keras(values)` that returns a layer of "
                "Keras, or leave it out of the network. Received: "
                f"{type(self).__name__}"
            )
        return ordinary(self, values)


def to_examples(rows, inputs):
    """Repeats the rows of groups for the examples that belong to them.

    Args:
        rows: Tensor of shape `(G, ...)`.
        inputs: Tensor of shape `(batch_size, ...)`.

    Returns:
        Tensor of shape `(batch_size, ...)`, or `rows` where one row or one
        row an example needs no repetition.

    Raises:
        ValueError: If G does not divide the batch size.
    """
    groups, batch_size = rows.shape[0], inputs.shape[0]
    if groups == 1 or groups == batch_size is not None:
        return rows
    if groups is None or batch_size is None:
        return ops.repeat(rows, ops.shape(inputs)[0] // ops.shape(rows)[0], 0)
    if batch_size % groups:
        raise ValueError(
            "The number of groups of hyperparameters must divide the batch "
            f"size. Received: groups={groups}, batch_size={batch_size}"
        )
    # XLA cannot differentiate `ops.repeat` in the loop of a recurrent layer.
    shape = rows.shape[1:]
    rows = ops.broadcast_to(
        ops.expand_dims(rows, 1), (groups, batch_size // groups, *shape)
    )
    return ops.reshape(rows, (batch_size, *shape))


@contextlib.contextmanager
def provided(layer, sample):
    """Hands `sample` to all layers called inside, at any depth.

    And to the penalties on what these layers put out.

    Args:
        layer: The layer whose `call` is running.
        sample: A `Sample`.
    """
    context = layer._get_call_context()
    before = context.get_value(CONTEXT_ARGUMENT)
    context.set_value(CONTEXT_ARGUMENT, sample)
    try:
        with sampled(sample):
            yield
    finally:
        context.set_value(CONTEXT_ARGUMENT, before)


def find_declarations(network):
    """All hyperparameters that a network's layers declare, in their order.

    Those of their regularizers as well, of Keras's own layers too.
    """
    return [
        declaration
        for layer in find_layers(network)
        for owner in (layer, *find_regularizers(layer))
        for declaration in getattr(owner, "declarations", ())
    ]


def find_regularizers(layer):
    """The regularizers among a layer's arguments whose strength is tunable."""
    return [
        value
        for value in vars(layer).values()
        if isinstance(value, TunableRegularizer)
    ]


def find_layers(layer, seen=None):
    """A layer and all layers inside it, each once, in order of first use."""
    seen = {} if seen is None else seen
    if id(layer) not in seen:
        seen[id(layer)] = layer
        for inner in layer._layers:
            find_layers(inner, seen)
    return list(seen.values())
