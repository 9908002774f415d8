import keras
from keras import ops

from keras_stn.hyperparameters.step import current_sample

# Each row has a kernel of its own; more of them than this would take memory
# for hardly a better mean.
MAX_ROWS = 8


class ResponsePenalty(keras.regularizers.Regularizer):
    """A tuned penalty on what the groups of a batch compute with.

    The mean over groups g of `s_g R(W(λ_g))`, the penalty R on the weight at
    the group's hyperparameters λ_g with the group's strength s_g. A penalty on
    W alone would be the same for all of them, and the response would never
    learn how the best weights answer to the strength.

    It takes the place of `regularizer` on the weight, so that Keras adds it
    to the loss as any penalty.

    Args:
        regularizer: A `TunableRegularizer`.
        layer: The `ResponseLayer` that the weight belongs to.
        name: `"kernel"` or `"bias"`.
    """

    def __init__(self, regularizer, layer, name):
        self.regularizer = regularizer
        self.layer = layer
        self.name = name

    def __call__(self, weight):
        sample = current_sample()
        gate = getattr(self.layer, f"{self.name}_gate")
        if sample is None or gate is None:
            return self.regularizer(weight)
        response = getattr(self.layer, f"response_{self.name}")
        rows = choose_rows(sample.groups, sample.unconstrained)
        gates = ops.matmul(ops.take(sample.unconstrained, rows, 0), gate)
        strengths = {
            # A strength that is a number has one row.
            name: ops.take(values, ops.minimum(rows, ops.size(values) - 1))
            for name, values in self.regularizer.current_strengths().items()
        }
        penalties = [
            self.regularizer.penalty(
                weight + gates[i] * response,
                {name: values[i] for name, values in strengths.items()},
            )
            for i in range(rows.shape[0])
        ]
        return sum(penalties) / len(penalties)

    def get_config(self):
        return self.regularizer.get_config()


def choose_rows(groups, unconstrained):
    """The indices of at most `MAX_ROWS` rows, evenly spaced."""
    count = MAX_ROWS
    if groups is None:
        groups = ops.shape(unconstrained)[0]
    else:
        count = min(count, groups)
    return ops.arange(count) * groups // count
