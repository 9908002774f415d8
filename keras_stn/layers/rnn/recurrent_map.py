from keras import ops


class RecurrentMap:
    """What the loop of a recurrent layer does with the state: `h U(λ) + b`.

    Everything that is the same for all time steps is made before the loop, so
    that its body holds one product and no more.

    Args:
        kernels: Tensor of shape `(G, units, outputs)`, a recurrent kernel for
            each row of hyperparameters; or `(1, units, outputs)`.
        response: Tensor of the shape of `kernels` with G = 1, or `None`. With
            `gates` it is added for each example, gated.
        gates: Tensor of shape `(batch_size, outputs)` or `(1, outputs)`.
        bias: Tensor of shape `(batch_size, outputs)` or `(1, outputs)`, or
            `None`.
        mask: Tensor that the state is multiplied with, or `None`.
    """

    def __init__(
        self, kernels, response=None, gates=None, bias=None, mask=None
    ):
        self.kernels = kernels
        self.response = response
        self.gates = gates
        self.bias = bias
        self.mask = mask
        if gates is not None:
            # One product of twice the width is quicker than two.
            kernels = ops.concatenate([kernels, response], axis=-1)
        self._product = kernels[0] if kernels.shape[0] == 1 else kernels

    def __call__(self, state):
        """Maps a state of shape `(batch_size, units)`."""
        if self.mask is not None:
            state = state * self.mask
        outputs = apply_rows(state, self._product)
        if self.gates is not None:
            outputs, response = ops.split(outputs, 2, axis=-1)
            outputs = outputs + self.gates * response
        return outputs if self.bias is None else outputs + self.bias

    def columns(self, start, stop):
        """The map to some of the outputs.

        Args:
            start: Integer, the first output.
            stop: Integer, the one behind the last.

        Returns:
            A `RecurrentMap`.
        """
        parts = (
            None if part is None else part[..., start:stop]
            for part in (self.kernels, self.response, self.gates, self.bias)
        )
        return RecurrentMap(*parts, self.mask)


def apply_rows(state, kernels):
    """Multiplies each group of consecutive examples by its kernel.

    Args:
        state: Tensor of shape `(batch_size, units)`.
        kernels: Tensor of shape `(G, units, outputs)`, or `(units, outputs)`
            for one kernel.

    Returns:
        Tensor of shape `(batch_size, outputs)`.
    """
    if len(kernels.shape) == 2:
        return ops.matmul(state, kernels)
    groups = ops.reshape(state, (ops.shape(kernels)[0], -1, state.shape[-1]))
    return ops.reshape(ops.matmul(groups, kernels), (-1, kernels.shape[-1]))
