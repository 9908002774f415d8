"""The best response: how a layer's weights depend on the hyperparameters."""

import keras
from keras import ops

from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.response_penalty import ResponsePenalty
from keras_stn.regularizers.tunable_regularizer import TunableRegularizer

GATE_STDDEV = 0.01

# Building one more kernel costs about as much as applying it at a hundred
# positions: fewer than that to a group, and two products for every position
# are cheaper. Measured for dense layers and convolutions of 1 to 256 channels
# on a CPU, with and without XLA.
POSITIONS_PER_KERNEL = 128

# From the seed of a kernel to that of its response: further than the seeds of
# one network's layers are from each other.
SEED_DISTANCE = 1_000_003


class ResponseLayer(HyperLayer):
    """Base of the layers whose kernel and bias respond to hyperparameters.

    For a layer with kernel W and bias b the weights at the hyperparameters λ
    are

        W(λ) = W + diag(V λ) W_response        b(λ) = b + (C λ) ⊙ b_response

    with one gate an output unit. Mixed into a Keras layer, it adds the
    weights `response_kernel` and `response_bias` of the shapes of `kernel`
    and `bias`, and `kernel_gate` (V) and `bias_gate` (C) of shape
    `(n, units)`, once the number n of hyperparameters is known. Regularizers
    and constraints apply to `kernel` and `bias`, but a regularizer with a
    tuned strength to W(λ) and b(λ): see `ResponsePenalty`.

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    num_hyperparameters = None

    def build(self, input_shape):
        if self.lora_rank:
            raise ValueError(
                f"The layer '{self.name}' cannot use LoRA: its kernel has a "
                "response already. Leave `lora_rank` out. Received: "
                f"lora_rank={self.lora_rank}"
            )
        super().build(input_shape)
        self.response_kernel = self.add_weight(
            name="response_kernel",
            shape=self.kernel.shape,
            initializer=independent(self.kernel_initializer),
        )
        self.response_bias = None
        if self.use_bias:
            self.response_bias = self.add_weight(
                name="response_bias",
                shape=self.bias.shape,
                initializer=independent(self.bias_initializer),
            )
        self.kernel_gate = self.bias_gate = None
        self._penalize(self.kernel, "kernel")
        if self.use_bias:
            self._penalize(self.bias, "bias")
        if self.num_hyperparameters is not None:
            self._build_gates()

    def _penalize(self, variable, name):
        regularizer = variable.regularizer
        if isinstance(regularizer, TunableRegularizer):
            if regularizer.is_tunable:
                variable.regularizer = ResponsePenalty(regularizer, self, name)

    def build_gates(self, num_hyperparameters):
        """Makes the gates, now or when the layer is built.

        Args:
            num_hyperparameters: Integer, the number n of hyperparameters of
                the model that tunes this layer.

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
            self._build_gates()
            self._tracker.lock()

    def extend_gates(self, num_hyperparameters):
        """Makes room for more hyperparameters behind those there are.

        The gates of the old ones keep their values. The variables are new, so
        an optimizer of the old ones cannot go on with them.

        Args:
            num_hyperparameters: Integer, the new number of hyperparameters.
        """
        old = (self.kernel_gate, self.bias_gate) if self.built else ()
        old = [gate for gate in old if gate is not None]
        self.num_hyperparameters = num_hyperparameters
        if not old:
            return
        self._tracker.unlock()
        for gate in old:
            self._untrack_variable(gate)
        self._build_gates()
        self._tracker.lock()
        for gate, new in zip(old, (self.kernel_gate, self.bias_gate)):
            added = new[gate.shape[0] :]
            new.assign(ops.concatenate([gate.value, added]))

    def _build_gates(self):
        shape = (self.num_hyperparameters, self.kernel.shape[-1])
        self.kernel_gate = self.add_weight(
            name="kernel_gate",
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=GATE_STDDEV),
        )
        if self.use_bias:
            self.bias_gate = self.add_weight(
                name="bias_gate",
                shape=shape,
                initializer=keras.initializers.RandomNormal(stddev=GATE_STDDEV),
            )

    def apply_response(self, inputs, hyperparameters):
        """The layer's output before its activation, at the hyperparameters.

        Two computations give the same numbers; the shapes tell which one is
        cheaper. With one row of hyperparameters, or enough positions a row,
        each row gets its kernel and works as an ordinary layer. Otherwise
        both kernels are applied to everything and the gates to the outcome.

        Args:
            inputs: Tensor of shape `(batch_size, ...)`.
            hyperparameters: A `Sample`.

        Returns:
            Tensor, the pre-activation.
        """
        rows = ops.cast(hyperparameters.unconstrained, self.compute_dtype)
        kernel_gate = ops.matmul(rows, self.kernel_gate)
        if self._kernel_per_row_is_cheaper(inputs, hyperparameters.groups):
            outputs = self._apply_row_kernels(inputs, kernel_gate)
        else:
            gate = self.to_outputs(kernel_gate, inputs)
            response = self.linear(inputs, self.response_kernel)
            outputs = self.linear(inputs, self.kernel) + gate * response
        if self.use_bias:
            bias_gate = ops.matmul(rows, self.bias_gate)
            bias = self.bias + bias_gate * self.response_bias
            outputs = outputs + self.to_outputs(bias, inputs)
        return outputs

    def _kernel_per_row_is_cheaper(self, inputs, groups):
        if groups is None or groups == 1:
            return groups == 1
        positions = self.num_positions(inputs)
        if positions is None or inputs.shape[0] % groups:
            return False
        return positions >= POSITIONS_PER_KERNEL * groups

    def _apply_row_kernels(self, inputs, gate):
        if gate.shape[0] == 1:
            kernel = self.kernel + gate[0] * self.response_kernel
            return self.linear(inputs, kernel)
        groups = gate.shape[0]
        kernels = ops.expand_dims(self.kernel, 0) + ops.reshape(
            gate, (groups,) + (1,) * (len(self.kernel.shape) - 1) + (-1,)
        ) * ops.expand_dims(self.response_kernel, 0)
        outputs = [
            self.linear(group, kernel)
            for group, kernel in zip(
                ops.split(inputs, groups), ops.unstack(kernels, groups)
            )
        ]
        return ops.concatenate(outputs)

    def linear(self, inputs, kernel):
        """The linear map of this layer, without bias."""
        raise NotImplementedError

    def to_outputs(self, rows, inputs):
        """Shapes rows of shape `(G, units)` for the layer's output."""
        raise NotImplementedError

    def num_positions(self, inputs):
        """How often a batch uses the kernel, or `None` if it is not known."""
        raise NotImplementedError

    def get_build_config(self):
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
        if self.built and self.kernel_gate is None and gate in store.keys():
            self.build_gates(store[gate].shape[0])
        keras.layers.Layer.load_own_variables(self, store)


def independent(initializer):
    """A copy of an initializer that draws other numbers from its seed."""
    seed = getattr(initializer, "seed", None)
    if not isinstance(seed, int):
        # Without a seed, or with a generator, each use draws other numbers.
        return initializer
    config = initializer.get_config()
    return type(initializer).from_config(
        {**config, "seed": seed + SEED_DISTANCE}
    )
