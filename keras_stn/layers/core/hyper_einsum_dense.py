import math
import string

import keras
from keras import ops

from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.response_layer import ResponseLayer


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperEinsumDense(ResponseLayer, keras.layers.EinsumDense):
    """Dense layer of any einsum whose weights respond to hyperparameters.

    Use it in place of `keras.layers.EinsumDense` in a network that a
    `SelfTuningModel` trains, for projections to or from several axes, as in
    attention. It has a gate for every position along the axes of its kernel
    that are axes of its output: with `"abc,cde->abde"` for each of `d` times
    `e` units. On its own it is an ordinary `EinsumDense` layer.

    Args:
        equation: String, an einsum equation as `keras.layers.EinsumDense`
            takes it. Its input's first axis is the batch and must be the
            first axis of the output, and of the output alone.
        output_shape: Integer or tuple, the output's shape without its batch
            axis; `None` for sizes that the input has as well.
        activation: Activation function to use. If you don't specify anything,
            no activation is applied.
        bias_axes: String, the axes of the output along which there is a
            bias, or `None` for no bias.
        kernel_initializer: Initializer for the kernel and its response.
        bias_initializer: Initializer for the bias and its response.
        kernel_regularizer: Regularizer function applied to `kernel`.
        bias_regularizer: Regularizer function applied to `bias`.
        kernel_constraint: Constraint function applied to `kernel`.
        bias_constraint: Constraint function applied to `bias`.
        **kwargs: Further arguments of `keras.layers.EinsumDense`.

    Call arguments:
        inputs: Tensor.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ...)`, as the equation says.

    Output shape:
        `(batch_size, ...)`, as the equation says.

    Raises:
        ValueError: If the equation's batch axis is not where it must be.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperEinsumDense(
    ...     "abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de"
    ... )
    >>> layer(np.ones((3, 5, 6))).shape
    TensorShape([3, 5, 2, 4])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        the equation for Ŵ_φ.
    """

    @property
    def use_bias(self):
        """Whether the layer has a bias."""
        return self.bias_axes is not None

    def build(self, input_shape):
        # What Keras refuses, it refuses here.
        self.compute_output_shape(input_shape)
        self._axes = spell_out(self.equation, len(input_shape))
        self._check_batch_axis()
        super().build(input_shape)

    def _check_batch_axis(self):
        if not is_batch_first(self._axes, self.bias_axes):
            raise ValueError(
                f"The layer '{self.name}' computes with other weights for "
                "other examples, so the first axis of its input must be the "
                "batch: the first axis of the output too, and no axis of the "
                f"kernel or the bias. Received: equation={self.equation!r}, "
                f"bias_axes={self.bias_axes!r}"
            )

    def response_initializer(self, name):
        initializer = super().response_initializer(name)
        scaling = keras.initializers.VarianceScaling
        if name != "kernel" or not isinstance(initializer, scaling):
            return initializer
        if None not in (initializer.input_axes, initializer.output_axes):
            return initializer
        # As Keras does for the kernel, whose fans it cannot know otherwise.
        outputs = self.gate_axes("kernel")
        inputs = set(range(len(self.kernel.shape))) - set(outputs)
        config = {
            **initializer.get_config(),
            "seed": initializer.seed,
            "input_axes": sorted(inputs),
            "output_axes": list(outputs),
        }
        return type(initializer).from_config(config)

    def gate_axes(self, name):
        if name == "bias":
            return super().gate_axes(name)
        _, kernel, outputs = self._axes
        return tuple(i for i, axis in enumerate(kernel) if axis in outputs)

    def call(self, inputs, training=None, hyperparameters=None):
        hyperparameters = self.received(hyperparameters)
        if not self.responds_to(hyperparameters):
            return super().call(inputs, training=training)
        return self.apply_response(inputs, hyperparameters)

    def linear(self, inputs, kernel):
        return ops.einsum(self.equation, inputs, kernel)

    def to_outputs(self, rows, inputs):
        _, kernel, outputs = self._axes
        # The gates stand in the order of the kernel's axes.
        gated = [axis for axis in kernel if axis in outputs]
        order = sorted(range(len(gated)), key=lambda i: outputs.index(gated[i]))
        sizes = dict(zip(gated, rows.shape[1:]))
        rows = ops.transpose(
            to_examples(rows, inputs), (0, *(i + 1 for i in order))
        )
        shape = [sizes.get(axis, 1) for axis in outputs[1:]]
        return ops.reshape(rows, (-1, *shape))

    def bias_to_outputs(self, rows, inputs):
        shape = self.bias.shape
        missing = len(self._axes[2]) - 1 - len(shape)
        rows = to_examples(rows, inputs)
        return ops.reshape(rows, (-1, *(1,) * missing, *shape))

    def num_positions(self, inputs):
        axes, kernel, outputs = self._axes
        positions = [
            size
            for axis, size in zip(axes, inputs.shape)
            if axis in outputs and axis not in kernel
        ]
        return None if None in positions else math.prod(positions)


def spell_out(equation, rank):
    """The axes of an equation, with letters in place of an ellipsis.

    Args:
        equation: String, of one of the forms that `EinsumDense` takes.
        rank: Integer, the rank of the input.

    Returns:
        The axes of the input, the kernel and the output, as three strings.
    """
    unused = [axis for axis in string.ascii_letters if axis not in equation]
    given = equation.split(",")[0].replace("...", "")
    elided = "".join(unused[: max(rank - len(given), 0)])
    inputs, rest = equation.replace("...", elided).split(",")
    return inputs, *rest.split("->")


def is_batch_first(axes, bias_axes):
    """Whether the first axis can be a batch of examples.

    Args:
        axes: What `spell_out` returns.
        bias_axes: String, the axes of the bias, or `None`.

    Returns:
        Boolean.
    """
    inputs, kernel, outputs = axes
    batch = inputs[:1]
    return outputs[:1] == batch and batch not in kernel + (bias_axes or "")
