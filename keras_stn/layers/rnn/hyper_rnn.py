from keras import ops
from keras.src import backend

from keras_stn.layers.hyper_layer import HyperLayer
from keras_stn.layers.rnn.recurrent_map import RecurrentMap


class HyperRNN(HyperLayer):
    """Mixin for Keras's recurrent layers, around a `HyperCell`.

    Inputs of all time steps are mapped before the loop, and so is everything
    made that the steps share. With one row of hyperparameters the layer takes
    the fused path of Keras where Keras takes it.

    Args:
        *args: Arguments of the Keras layer.
        dropout: As in `HyperCell`.
        recurrent_dropout: As in `HyperCell`.
        recurrent_dropconnect: As in `HyperCell`.
        **kwargs: Further arguments of the Keras layer.
    """

    # The `HyperCell` of the layer.
    cell_class = None
    # The arguments that the configuration of Keras's cell leaves out.
    not_in_cell_config = ("implementation",)

    def __init__(
        self,
        *args,
        dropout=0.0,
        recurrent_dropout=0.0,
        recurrent_dropconnect=0.0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        # Keras makes an ordinary cell; ours takes its place and arguments.
        self._tracker.untrack(self.cell)
        left_out = {
            name: getattr(self.cell, name) for name in self.not_in_cell_config
        }
        self.cell = self.cell_class(
            **{
                **self.cell.get_config(),
                **left_out,
                "dropout": dropout,
                "recurrent_dropout": recurrent_dropout,
                "recurrent_dropconnect": recurrent_dropconnect,
            }
        )

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        hyperparameters=None,
    ):
        try:
            return super().call(
                sequences,
                initial_state=initial_state,
                mask=mask,
                training=training,
            )
        finally:
            # Keras does not come to it after an error.
            self._maybe_reset_dropout_masks(self.cell)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        hyperparameters = self.received(None)
        if self.cell.is_ordinary(hyperparameters, training):
            return super().inner_loop(sequences, initial_state, mask, training)
        if isinstance(mask, list | tuple):
            mask = mask[0]
        if training:
            sequences = self.cell.drop_inputs(sequences, sequences[:, 0])
        recurrent = self.cell.recurrent_map(
            initial_state[0], hyperparameters, training
        )
        try:
            return self._run_fused(
                sequences, initial_state, mask, hyperparameters, recurrent
            )
        except NotImplementedError:
            if self.use_cudnn is True:
                raise ValueError(
                    f"The layer '{self.name}' cannot use cuDNN here: it takes "
                    "Keras's default activations, a bias, a GPU, neither "
                    "`unroll` nor `recurrent_dropout`, and one row of "
                    "hyperparameters, so `groups=1` in training. Pass "
                    "`use_cudnn='auto'`. Received: use_cudnn=True"
                ) from None

        # Where the kernel is built and no gradient asked for, a product a step
        # is quicker than to write those of all steps and to read them again.
        is_built = (
            hyperparameters is not None
            and self.cell.built_weight("kernel", hyperparameters) is not None
        )
        if not is_built:
            sequences = self.cell.project(sequences, hyperparameters)

        def advance(inputs, states):
            if is_built:
                inputs = self.cell.project(inputs, hyperparameters)
            return self.cell.advance(inputs, states, recurrent)

        return backend.rnn(
            advance,
            sequences,
            initial_state,
            go_backwards=self.go_backwards,
            mask=mask,
            unroll=self.unroll,
            input_length=sequences.shape[1],
            zero_output_for_mask=self.zero_output_for_mask,
            return_all_outputs=self.return_sequences,
        )

    def _run_fused(
        self, sequences, initial_state, mask, hyperparameters, recurrent
    ):
        is_single = hyperparameters is None or hyperparameters.groups == 1
        if not is_single or not isinstance(recurrent, RecurrentMap):
            raise NotImplementedError
        if self.use_cudnn is False or self.cell.recurrent_dropout:
            raise NotImplementedError
        cell = self.cell
        kernel = cell.kernel
        if cell.responds_to(hyperparameters):
            kernel = cell.weight_of_rows("kernel", hyperparameters)[0]
        bias = cell.bias_rows(hyperparameters)
        outcome = self.fused_loop(
            sequences,
            initial_state,
            mask,
            kernel=ops.convert_to_tensor(kernel),
            recurrent_kernel=recurrent.kernels[0],
            bias=None if bias is None else bias[0],
            activation=cell.activation,
            recurrent_activation=cell.recurrent_activation,
            return_sequences=self.return_sequences,
            go_backwards=self.go_backwards,
            unroll=self.unroll,
        )
        self.supports_jit = False
        return outcome

    def fused_loop(self, sequences, initial_state, mask, **kwargs):
        """Keras's fused loop, where the device and the arguments allow it.

        Args:
            sequences: Tensor of shape `(batch_size, timesteps, features)`.
            initial_state: List of tensors.
            mask: Boolean tensor of shape `(batch_size, timesteps)`, or
                `None`.
            **kwargs: Weights, activations and options.

        Returns:
            Triple of the last output, all outputs and the list of states.

        Raises:
            NotImplementedError: If it is not possible here.
        """
        raise NotImplementedError

    @property
    def recurrent_dropconnect(self):
        return self.cell.recurrent_dropconnect

    def tunable_arguments(self):
        return self.cell.tunable_arguments()

    def get_build_config(self):
        # Keras takes a layer for built that has a build configuration.
        if not self.built:
            return None
        return {
            **super().get_build_config(),
            "num_hyperparameters": self.cell.num_hyperparameters,
        }

    def build_from_config(self, config):
        config = dict(config)
        num_hyperparameters = config.pop("num_hyperparameters", None)
        super().build_from_config(config)
        if num_hyperparameters is not None:
            self.cell.build_gates(num_hyperparameters)

    def get_config(self):
        return {**super().get_config(), **self.cell.rates_config()}
