import keras
from keras import ops

from keras_stn import backend
from keras_stn.hyperparameters.step import current_sample

# Rows that get a kernel of their own; more of them than this would take memory
# for hardly a better mean.
MAX_ROWS = 8


class ResponsePenalty(keras.regularizers.Regularizer):
    """A tuned penalty on what the groups of a batch compute with.

    The mean over groups g of `s_g R(W(λ_g))`, the penalty R on the weight at
    the group's hyperparameters λ_g with the group's strength s_g. A penalty on
    W alone would be the same for all of them, and the response would never
    learn how the best weights answer to the strength.

    An L2 penalty needs no kernel for each group. For others at most 8 groups
    are taken, evenly spaced.

    It takes the place of `regularizer` on the weight, so that Keras adds it
    to the loss as any penalty.

    Args:
        regularizer: A `TunableRegularizer`.
        layer: The `ResponseLayer` that the weight belongs to.
        name: The weight's name, as in the layer's `responding`.
    """

    def __init__(self, regularizer, layer, name):
        self.regularizer = regularizer
        self.layer = layer
        self.name = name

    def __call__(self, weight):
        sample = current_sample()
        strengths = self.regularizer.current_strengths()
        if not strengths or not self.layer.responds_to(sample):
            return self.regularizer(weight)
        response = getattr(self.layer, f"response_{self.name}")
        # Each variable is read once. Where it is read for each product anew,
        # TensorFlow's graph optimizer forgets that the reads come before the
        # optimizer's update, and a step's gradients are now and then those
        # of weights that are already updated.
        weight, response = backend.read_all([weight, response])
        gates = self.layer.gates(self.name, sample, weight.dtype)
        gates = self.layer.spread_gates(self.name, gates)
        units = self.regularizer.units()
        return sum(
            mean_square(weight, response, gates, values)
            if isinstance(units[name], keras.regularizers.L2)
            else mean_penalty(units[name], weight, response, gates, values)
            for name, values in strengths.items()
        )

    def get_config(self):
        return self.regularizer.get_config()


def mean_square(weight, response, gates, strengths):
    """The mean over g of `s_g ||W + diag(c_g) R||²`, without the kernels.

    Args:
        weight: Tensor, W.
        response: Tensor of the shape of `weight`, R.
        gates: Tensor of shape `(G, ...)` that broadcasts against the weight
            behind its first axis, c.
        strengths: Tensor of shape `(G,)` or `(1,)`, s.

    Returns:
        Scalar tensor.
    """
    # Only the axes of the gates stay: for the others the sum comes first.
    shared = tuple(i for i, size in enumerate(gates.shape[1:]) if size == 1)
    products = [
        ops.sum(product, axis=shared, keepdims=True)
        for product in (weight * weight, weight * response, response * response)
    ]
    squares = products[0] + gates * (2 * products[1] + gates * products[2])
    axes = tuple(range(1, len(squares.shape)))
    return ops.mean(strengths * ops.sum(squares, axis=axes))


def mean_penalty(unit, weight, response, gates, strengths):
    """The mean over some g of `s_g unit(W + diag(c_g) R)`.

    Args:
        unit: Callable, the penalty of strength 1.
        weight: As in `mean_square`.
        response: As in `mean_square`.
        gates: As in `mean_square`.
        strengths: As in `mean_square`.

    Returns:
        Scalar tensor.
    """
    rows = choose_rows(gates)
    gates = ops.take(gates, rows, axis=0)
    # A strength that is a number has one row.
    strengths = ops.take(strengths, ops.minimum(rows, ops.size(strengths) - 1))
    penalties = [
        strengths[i] * unit(weight + gates[i] * response)
        for i in range(rows.shape[0])
    ]
    return sum(penalties) / len(penalties)


def choose_rows(gates):
    """The indices of at most `MAX_ROWS` rows, evenly spaced."""
    groups, count = gates.shape[0], MAX_ROWS
    if groups is None:
        groups = ops.shape(gates)[0]
    else:
        count = min(count, groups)
    return ops.arange(count) * groups // count
