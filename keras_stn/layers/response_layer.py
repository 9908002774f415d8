"""The best response: how a layer's weights depend on the hyperparameters."""

import math

import keras
from keras import ops

from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.rematerialization import rematerialized
from keras_stn.layers.response_initializers import independent
from keras_stn.layers.response_initializers import silent
from keras_stn.layers.response_penalty import ResponsePenalty
from keras_stn.regularizers.tunable_regularizer import TunableRegularizer

GATE_STDDEV = 0.01

# Building one more kernel costs about as much as applying it at a hundred
# positions: fewer than that to a group, and two products for every position
# are cheaper. Measured for dense layers and convolutions of 1 to 256 channels
# on a CPU, with and without XLA.
POSITIONS_PER_KERNEL = 128

# Each row with a kernel of its own is one more operation, however few its
# positions: for 64 rows and more, two products for everything are cheaper.
# Measured for convolutions on a CPU, where 32 rows are about even.
MAX_KERNELS = 32


class ResponseLayer(HyperLayer):
    """Base of the layers whose weights respond to hyperparameters.

    For a layer with kernel W and bias b the weights at the hyperparameters λ
    are

        W(λ) = W + diag(V λ) W_response        b(λ) = b + (C λ) ⊙ b_response

    with one gate an output unit. Where responses are centred, which is the
    default, the gates get the distance from the current values in place of
    λ: the `response_inputs` of a `Sample`.

    Mixed into a Keras layer, it adds the weights `response_kernel` and
    `response_bias` of the shapes of `kernel` and `bias`, and `kernel_gate` (V)
    and `bias_gate` (C) of shape `(n, units)`, once the number n of
    hyperparameters is known. Regularizers and constraints apply to `kernel`
    and `bias`, but a regularizer with a tuned strength to W(λ) and b(λ): see
    `ResponsePenalty`.

    A layer with other weights names them in `responding`.

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    # The weights that respond, where the layer has them.
    responding = ("kernel", "bias")
    # Those among them that `linear` takes.
    kernels = ("kernel",)
    # Whether an evaluation builds W(λ) once for all of its batches.
    is_built_once = True

    num_hyperparameters = None
    lora_rank = None

    def build(self, input_shape):
        if self.lora_rank:
            raise ValueError(
                f"The layer '{self.name}' cannot use LoRA: its kernel has a "
                "response already. Leave `lora_rank` out. Received: "
                f"lora_rank={self.lora_rank}"
            )
        super().build(input_shape)
        for name in self.responding:
            weight = getattr(self, name, None)
            response = None
            if weight is not None:
                response = self.add_weight(
                    name=f"response_{name}",
                    shape=weight.shape,
                    initializer=self.response_initializer(name),
                )
                self._penalize(weight, name)
            setattr(self, f"response_{name}", response)
            setattr(self, f"{name}_gate", None)
        if self.num_hyperparameters is not None:
            self._build_gates()

    def rematerialize(self, call):
        return rematerialized(self, call)

    def response_initializer(self, name):
        """The initializer of the response of one of the weights."""
        return independent(getattr(self, f"{name}_initializer"))

    def gate_axes(self, name):
        """The axes of a weight along which it has gates of its own.

        Args:
            name: String, one of `responding`.

        Returns:
            Tuple of integers: by default the last axis, and every axis of a
            bias.
        """
        rank = len(getattr(self, name).shape)
        return tuple(range(rank)) if name == "bias" else (rank - 1,)

    def _penalize(self, variable, name):
        regularizer = variable.regularizer
        if isinstance(regularizer, TunableRegularizer):
            if regularizer.is_tunable:
                variable.regularizer = ResponsePenalty(regularizer, self, name)

    def build_gates(self, num_hyperparameters, is_silent=False):
        """Makes the gates, now or when the layer is built.

        Args:
            num_hyperparameters: Integer, the number n of hyperparameters of
                the model that tunes this layer.
            is_silent: Boolean, whether they begin as `silence` leaves them.

        Raises:
            ValueError: If the layer has gates for another number already.
        """
        if self.num_hyperparameters not in (None, num_hyperparameters):
            raise ValueError(
                f"The layer '{self.name}' is tuned by a model with "
                f"{self.num_hyperparameters} hyperparameters and cannot serve "
                f"one with {num_hyperparameters}. Clone the network first, "
                "with `keras.models.clone_model`."
            )
        is_new = self.num_hyperparameters is None
        self.num_hyperparameters = num_hyperparameters
        if is_new and self.built:
            self._tracker.unlock()
            self._build_gates(is_silent)
            self._tracker.lock()

    def silence(self):
        """Makes the response nothing, for it to be learned from there.

        Of a gate and the response behind it one is enough to be 0, and not
        both may be, or neither would get a gradient.
        """
        for name in self.responding_names():
            if ops.any(getattr(self, f"response_{name}") != 0):
                gate = getattr(self, f"{name}_gate")
                gate.assign(ops.zeros_like(gate))

    def extend_gates(self, num_hyperparameters, is_silent=False):
        """Makes room for more hyperparameters behind those there are.

        The gates of the old ones keep their values. The variables are new, so
        an optimizer of the old ones cannot go on with them.

        Args:
            num_hyperparameters: Integer, the new number of hyperparameters.
            is_silent: Boolean, whether the gates of the new ones begin as
                `silence` leaves them.
        """
        self.num_hyperparameters = num_hyperparameters
        if not self.responds:
            return
        old = {
            name: getattr(self, f"{name}_gate")
            for name in self.responding_names()
        }
        self._tracker.unlock()
        for gate in old.values():
            self._untrack_variable(gate)
        self._build_gates(is_silent)
        self._tracker.lock()
        for name, gate in old.items():
            new = getattr(self, f"{name}_gate")
            rows = new[gate.shape[0] :]
            if not ops.any(gate != 0):
                # They were silenced, so what is new is silent as well.
                rows = ops.zeros_like(rows)
            new.assign(ops.concatenate([gate.value, rows]))

    def responding_names(self):
        """Those of `responding` that the layer has.

        Returns:
            List of strings.
        """
        return [
            name
            for name in self.responding
            if getattr(self, name, None) is not None
        ]

    def response_variables(self):
        """The weights that only matter where the layer is tuned.

        Returns:
            List of variables: the responses, and the gates if there are any.
        """
        variables = [
            getattr(self, variable)
            for name in self.responding_names()
            for variable in (f"response_{name}", f"{name}_gate")
        ]
        return [variable for variable in variables if variable is not None]

    def _build_gates(self, is_silent=False):
        for name in self.responding_names():
            shape = getattr(self, name).shape
            units = [shape[axis] for axis in self.gate_axes(name)]
            initializer = keras.initializers.RandomNormal(stddev=GATE_STDDEV)
            if is_silent:
                response = getattr(self, f"response_{name}")
                initializer = silent(initializer, response)
            gate = self.add_weight(
                name=f"{name}_gate",
                shape=(self.num_hyperparameters, *units),
                initializer=initializer,
            )
            setattr(self, f"{name}_gate", gate)

    @property
    def responds(self):
        """Whether the layer has gates."""
        return getattr(self, f"{self.responding[0]}_gate", None) is not None

    def responds_to(self, hyperparameters):
        """Whether the layer's weights are others than the ordinary ones.

        Args:
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Boolean.
        """
        if hyperparameters is None or hyperparameters.is_silent:
            return False
        return self.responds

    def gates(self, name, hyperparameters, dtype=None):
        """The gates of a weight for each row of hyperparameters.

        Args:
            name: String, one of `responding`.
            hyperparameters: A `Sample`.
            dtype: The dtype of the result. If `None`, the layer's compute
                dtype.

        Returns:
            Tensor of shape `(G, *units)`, with the sizes of the weight's
            gate axes.
        """
        dtype = dtype or self.compute_dtype
        rows = ops.cast(hyperparameters.response_inputs, dtype)
        gate = ops.cast(getattr(self, f"{name}_gate"), dtype)
        units = gate.shape[1:]
        if len(units) == 1:
            return ops.matmul(rows, gate)
        gates = ops.matmul(rows, ops.reshape(gate, (gate.shape[0], -1)))
        return ops.reshape(gates, (-1, *units))

    def built_weight(self, name, hyperparameters, dtype=None):
        """A weight W(λ) that an evaluation has built for all its batches.

        Args:
            name: As in `gates`.
            hyperparameters: As in `gates`.
            dtype: As in `gates`.

        Returns:
            Tensor of the weight's shape, or `None` if there is none.
        """
        weights = hyperparameters.weights
        if weights is None:
            return None
        return weights.read(self, name, dtype or self.compute_dtype)

    def weight_of_rows(self, name, hyperparameters, dtype=None):
        """A weight W(λ) at each row of hyperparameters.

        Args:
            name: String, one of `responding`.
            hyperparameters: A `Sample`.
            dtype: The dtype of the gates. If `None`, the layer's compute
                dtype.

        Returns:
            Tensor of shape `(G, *shape)`, with the weight's shape.
        """
        built = self.built_weight(name, hyperparameters, dtype)
        if built is not None:
            return ops.expand_dims(built, 0)
        weight = ops.expand_dims(getattr(self, name), 0)
        response = ops.expand_dims(getattr(self, f"response_{name}"), 0)
        gates = self.gates(name, hyperparameters, dtype)
        return weight + self.spread_gates(name, gates) * response

    def _weights_by_row(self, name, hyperparameters):
        """What `weight_of_rows` gives, as a list: cheaper for single rows.

        The gradient of one tensor of all rows would be made of all their
        gradients first, and read and written once more.
        """
        built = self.built_weight(name, hyperparameters)
        if built is not None:
            return [built]
        weight = ops.convert_to_tensor(getattr(self, name))
        response = ops.convert_to_tensor(getattr(self, f"response_{name}"))
        gates = self.spread_gates(name, self.gates(name, hyperparameters))
        return [
            weight + gate * response
            for gate in ops.unstack(gates, gates.shape[0])
        ]

    def weight_at(self, name, hyperparameters):
        """A weight W(λ) in its own precision, at one row of hyperparameters.

        Args:
            name: String, one of `responding`.
            hyperparameters: A `Sample` of one row.

        Returns:
            Tensor of the weight's shape and dtype.
        """
        weight = getattr(self, name)
        if not self.responds:
            return ops.convert_to_tensor(weight)
        return self.weight_of_rows(name, hyperparameters, weight.dtype)[0]

    def spread_gates(self, name, gates):
        """Shapes gates so that they broadcast against the rows of a weight.

        Args:
            name: String, one of `responding`.
            gates: Tensor of shape `(G, *units)`.

        Returns:
            Tensor of shape `(G, ...)`, of the weight's rank and one more.
        """
        axes, shape = self.gate_axes(name), getattr(self, name).shape
        shape = [size if i in axes else 1 for i, size in enumerate(shape)]
        return ops.reshape(gates, (-1, *shape))

    def apply_response(self, inputs, hyperparameters):
        """The layer's output at the hyperparameters.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`.

        Returns:
            Tensor, with bias and activation.
        """
        if self._kernel_per_row_is_cheaper(inputs, hyperparameters.groups):
            names = (*self.kernels, "bias") if self.use_bias else self.kernels
            # TensorFlow makes one operation of a map and its bias, and with
            # one row of the activation too. With many it stays outside: for
            # the gradient, its results would be kept once more.
            outputs = self._apply_by_rows(
                self._affine, inputs, hyperparameters, names
            )
        else:
            outputs = self.apply_all_kernels(inputs, hyperparameters)
            if self.use_bias:
                bias = self.weight_of_rows("bias", hyperparameters)
                outputs = outputs + self.bias_to_outputs(bias, inputs)
        return outputs if self.activation is None else self.activation(outputs)

    def apply_kernel(self, inputs, hyperparameters):
        """The linear map by W(λ), without bias.

        Two computations give the same numbers; the shapes tell which one is
        cheaper. With one row of hyperparameters, or enough positions a row,
        each row gets its kernel and works as an ordinary layer. Otherwise
        both kernels are applied to everything and the gates to the outcome.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`.

        Returns:
            Tensor.
        """
        if self._kernel_per_row_is_cheaper(inputs, hyperparameters.groups):
            return self._apply_by_rows(
                self.linear, inputs, hyperparameters, self.kernels
            )
        return self.apply_all_kernels(inputs, hyperparameters)

    def apply_all_kernels(self, inputs, hyperparameters):
        """The linear map by W(λ), as the sum of the maps by both kernels.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`.

        Returns:
            Tensor.
        """
        gates = self.gates("kernel", hyperparameters)
        response = self.linear(inputs, self.response_kernel)
        outputs = self.linear(inputs, self.kernel)
        return outputs + self.to_outputs(gates, inputs) * response

    def _kernel_per_row_is_cheaper(self, inputs, groups):
        if groups is None or groups == 1:
            return groups == 1
        positions = self.num_positions(inputs)
        if (
            positions is None
            or groups > MAX_KERNELS
            or inputs.shape[0] % groups
        ):
            return False
        return positions >= self.positions_per_kernel * groups

    @property
    def positions_per_kernel(self):
        """At how many positions a group's own kernel pays for itself."""
        return POSITIONS_PER_KERNEL

    def _apply_by_rows(self, function, inputs, hyperparameters, names):
        """Calls a function with each row's examples and the row's weights."""
        groups = hyperparameters.groups
        weights = zip(
            *(self._weights_by_row(name, hyperparameters) for name in names)
        )
        outputs = [
            function(group, *weights_of_group)
            for group, weights_of_group in zip(
                ops.split(inputs, groups), weights
            )
        ]
        return outputs[0] if groups == 1 else ops.concatenate(outputs)

    def _affine(self, inputs, *weights):
        """The linear map by kernels, and a bias if the layer has one."""
        if not self.use_bias:
            return self.linear(inputs, *weights)
        *kernels, bias = weights
        bias = self.bias_to_outputs(ops.expand_dims(bias, 0), inputs)
        return add_bias(self.linear(inputs, *kernels), bias)

    def linear(self, inputs, kernel):
        """The linear map of this layer, without bias."""
        raise NotImplementedError

    def to_outputs(self, rows, inputs):
        """Shapes rows of shape `(G, units)` for the layer's output."""
        raise NotImplementedError

    def bias_to_outputs(self, rows, inputs):
        """The same for rows of a bias, where its shape is not `(units,)`."""
        return self.to_outputs(rows, inputs)

    def num_positions(self, inputs):
        """How often a batch uses the kernel, or `None` if it is not known."""
        raise NotImplementedError

    def get_build_config(self):
        # Keras takes a layer for built that has a build configuration.
        if not self.built:
            return None
        return {
            **(super().get_build_config() or {}),
            "num_hyperparameters": self.num_hyperparameters,
        }

    def build_from_config(self, config):
        config = dict(config)
        num_hyperparameters = config.pop("num_hyperparameters", None)
        super().build_from_config(config)
        if num_hyperparameters is not None:
            self.build_gates(num_hyperparameters)

    # Keras's own layers name the weights they save, and would skip ours.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        # A subclassed network that was tuned and then saved on its own does
        # not tell how many hyperparameters its gates are for.
        gate = str(len(self._trainable_variables))
        if self.built and not self.responds and gate in store.keys():
            self.build_gates(store[gate].shape[0])
        keras.layers.Layer.load_own_variables(self, store)


def add_bias(outputs, bias):
    """Adds a bias in such a way that TensorFlow can join it with the map.

    Args:
        outputs: Tensor of shape `(batch_size, ...)`.
        bias: Tensor of shape `(1, ...)`, of the same rank.

    Returns:
        Tensor.
    """
    units = bias.shape[-1]
    if math.prod(bias.shape) != units:
        # Keras would take the first of two axes of its size for the bias's.
        return outputs + bias
    return ops.add(outputs, ops.reshape(bias, (units,)))
