"""What the recurrent cells share that respond to hyperparameters."""

import keras
from keras import ops

from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.layers.dense_response import DenseResponse
from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.regularization.dropout import draw_factors
from keras_stn.layers.regularization.weight_drop_connect import (
    WeightDropConnect,
)
from keras_stn.layers.response_initializers import SEED_DISTANCE
from keras_stn.layers.rnn.recurrent_map import RecurrentMap

# With fewer examples to a row, a recurrent kernel for each row costs more
# than two kernels for all. Measured for 40 examples and 200 units on a CPU.
EXAMPLES_PER_KERNEL = 16


class HyperCell(DenseResponse):
    """Mixin for Keras's recurrent cells.

    A step of a cell is taken apart, so that a layer can do most of it before
    its loop: `project` maps the inputs, of one step or of all; `recurrent_map`
    makes what maps the state; `advance` puts the two together.

    Args:
        *args: Arguments of the Keras cell.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
        recurrent_dropout: Float between 0 and 1, or a `Float` whose range
            lies there.
        recurrent_dropconnect: Float between 0 and 1, or a `Float` whose range
            lies there.
        **kwargs: Further arguments of the Keras cell.

    Raises:
        ValueError: If a rate or its range is not between 0 and 1.
    """

    responding = ("kernel", "recurrent_kernel", "bias")

    def __init__(
        self,
        *args,
        dropout=0.0,
        recurrent_dropout=0.0,
        recurrent_dropconnect=0.0,
        **kwargs,
    ):
        rates = {
            "dropout": hyperparameter.get(dropout),
            "recurrent_dropout": hyperparameter.get(recurrent_dropout),
        }
        numbers = {
            name: 0.0 if isinstance(rate, HyperParameter) else rate
            for name, rate in rates.items()
        }
        super().__init__(*args, **numbers, **kwargs)
        for name, rate in rates.items():
            setattr(self, name, self.declare_strength(name, rate, 1))
        # From one seed two generators would draw the same numbers.
        seed = None if self.seed is None else self.seed + SEED_DISTANCE
        self.dropconnect = WeightDropConnect(
            recurrent_dropconnect, seed=seed, dtype=self.dtype_policy
        )

    @property
    def recurrent_dropconnect(self):
        return self.dropconnect.rate

    def tunable_arguments(self):
        return [
            *super().tunable_arguments(),
            *(
                argument.of("recurrent_dropconnect")
                for argument in self.dropconnect.tunable_arguments()
            ),
        ]

    def response_initializer(self, name):
        if name == "recurrent_kernel":
            name = "recurrent"
        return super().response_initializer(name)

    def is_ordinary(self, hyperparameters, training):
        """Whether the cell does just what Keras's does."""
        responds = self.responds_to(hyperparameters)
        return not responds and not (training and self._has_own_noise())

    def _has_own_noise(self):
        rates = (self.dropout, self.recurrent_dropout)
        is_tuned = any(isinstance(rate, HyperParameter) for rate in rates)
        return is_tuned or self.recurrent_dropconnect != 0

    def call(self, inputs, states, training=False, hyperparameters=None):
        hyperparameters = self.received(hyperparameters)
        if self.is_ordinary(hyperparameters, training):
            return super().call(inputs, states, training=training)
        is_nested = isinstance(states, list | tuple)
        states = list(states) if is_nested else [states]
        if training:
            inputs = self.drop_inputs(inputs, inputs)
        output, states = self.advance(
            self.project(inputs, hyperparameters),
            states,
            self.recurrent_map(states[0], hyperparameters, training),
        )
        return output, states if is_nested else states[0]

    def drop_inputs(self, inputs, step_input):
        """Applies the dropout of the inputs, one mask for all time steps.

        Args:
            inputs: Tensor of shape `(batch_size, ..., features)`.
            step_input: Tensor of shape `(batch_size, features)`, the inputs
                of one step.

        Returns:
            Tensor of the shape of `inputs`.
        """
        mask = first(self.get_dropout_mask(step_input))
        if mask is None:
            return inputs
        middle = (1,) * (len(inputs.shape) - 2)
        return inputs * ops.reshape(mask, (-1, *middle, inputs.shape[-1]))

    # `keras.layers.RNN` calls these before its loop, to make the masks that
    # all time steps share, and forgets the masks behind it.
    def get_dropout_mask(self, step_input):
        if not isinstance(self.dropout, HyperParameter):
            return super().get_dropout_mask(step_input)
        if getattr(self, "_dropout_mask", None) is None:
            self._dropout_mask = self._draw_mask(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input):
        self._get_dropconnect_factors()
        rate = self.recurrent_dropout
        if not isinstance(rate, HyperParameter):
            return super().get_recurrent_dropout_mask(step_input)
        if getattr(self, "_recurrent_dropout_mask", None) is None:
            self._recurrent_dropout_mask = self._draw_mask(step_input, rate)
        return self._recurrent_dropout_mask

    def reset_recurrent_dropout_mask(self):
        super().reset_recurrent_dropout_mask()
        self._dropconnect_factors = None

    def _draw_mask(self, step_input, rate):
        # The rate stays exact until it meets the noise.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        rate = self.resolve(rate, step_input, None, dtype=dtype)
        return draw_factors(
            ops.shape(step_input), rate, self.compute_dtype, self.seed_generator
        )

    def _get_dropconnect_factors(self):
        if self.recurrent_dropconnect == 0:
            return None
        if getattr(self, "_dropconnect_factors", None) is None:
            self._dropconnect_factors = self.dropconnect.factors(
                self.recurrent_kernel.shape, self.received(None)
            )
        return self._dropconnect_factors

    def project(self, inputs, hyperparameters):
        """The part of a step, or of all steps, that needs no state.

        Args:
            inputs: Tensor of shape `(batch_size, features)`, or `(batch_size,
                timesteps, features)` for a whole sequence.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Tensor of shape `(batch_size, outputs)` or `(batch_size,
            timesteps, outputs)`, to be given to `advance` step by step.
        """
        if not self.responds_to(hyperparameters):
            outputs = self.linear(inputs, self.kernel)
        else:
            outputs = self.apply_kernel(inputs, hyperparameters)
        bias, _ = self.biases(hyperparameters)
        if bias is None:
            return outputs
        return outputs + self.to_outputs(bias, inputs)

    def biases(self, hyperparameters):
        """The biases of the projection and of the recurrent map.

        Args:
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Pair of tensors of shape `(G, outputs)`, or `None`.
        """
        return self.bias_rows(hyperparameters), None

    def bias_rows(self, hyperparameters):
        if not self.use_bias:
            return None
        if not self.responds_to(hyperparameters):
            return ops.expand_dims(self.bias, 0)
        return self.weight_of_rows("bias", hyperparameters)

    def recurrent_map(self, state, hyperparameters, training):
        """What maps the state at every step, made once for a sequence.

        Args:
            state: Tensor of shape `(batch_size, units)`, the first state.
            hyperparameters: A `Sample`, or `None`.
            training: Boolean, whether to drop.

        Returns:
            A `RecurrentMap`.
        """
        factors = mask = bias = response = gates = None
        if training:
            mask = first(self.get_recurrent_dropout_mask(state))
            factors = self._get_dropconnect_factors()
        _, bias = self.biases(hyperparameters)
        if bias is not None:
            bias = to_examples(bias, state)
        kernels = ops.expand_dims(self.recurrent_kernel, 0)
        if self.responds_to(hyperparameters):
            if self._kernel_per_row(state, hyperparameters.groups, factors):
                kernels = self.weight_of_rows(
                    "recurrent_kernel", hyperparameters
                )
            else:
                response = ops.expand_dims(self.response_recurrent_kernel, 0)
                gates = to_examples(
                    self.gates("recurrent_kernel", hyperparameters), state
                )
        if factors is not None:
            # The same mask for a kernel and its response.
            kernels = kernels * factors
            response = None if response is None else response * factors
        return RecurrentMap(kernels, response, gates, bias, mask)

    def _kernel_per_row(self, state, groups, factors):
        if groups == 1 or (factors is not None and factors.shape[0] != 1):
            return True
        batch_size = state.shape[0]
        if groups is None or batch_size is None:
            return False
        return batch_size >= EXAMPLES_PER_KERNEL * groups

    def advance(self, projected, states, recurrent):
        """One time step.

        Args:
            projected: Tensor, what `project` made of the step's inputs.
            states: List of tensors of shape `(batch_size, units)`.
            recurrent: What `recurrent_map` made.

        Returns:
            Pair of the output and the list of new states.
        """
        raise NotImplementedError

    def get_build_config(self):
        # It stands in the configuration of the layer around the cell, whose
        # clones must be free to take another number of hyperparameters.
        config = super().get_build_config()
        if config is not None:
            del config["num_hyperparameters"]
        return config

    def get_config(self):
        return {**super().get_config(), **self.rates_config()}

    def rates_config(self):
        """The configuration of what is dropped, of a layer around it too."""
        names = ("dropout", "recurrent_dropout", "recurrent_dropconnect")
        return {
            name: hyperparameter.serialize(getattr(self, name))
            for name in names
        }


def first(masks):
    """One mask for all gates; Keras makes one a gate in some cases."""
    return masks[0] if isinstance(masks, list) else masks
