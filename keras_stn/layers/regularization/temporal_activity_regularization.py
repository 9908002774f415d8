import keras
from keras import ops

from keras_stn.layers.regularization.base_activity_penalty import (
    BaseActivityPenalty,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class TemporalActivityRegularization(BaseActivityPenalty):
    """Adds a penalty on changes from step to step to the loss of training.

    The penalty is `beta * mean((h[:, 1:] - h[:, :-1])**2)`, over all elements
    of the differences. It is the TAR of language models: put it behind the
    last recurrent layer, before its dropout, whose noise is no change of
    state. With a `Float` each example has its own strength.

    Like that of `ActivityRegularization` the penalty counts in training steps
    only, where the official code for language models adds it to the tuning
    loss as well.

    Args:
        beta: Float, or a `Float` whose range is not negative. The strength.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor.
        mask: Boolean tensor of shape `(batch_size, steps)`. A difference
            counts if neither of its steps is masked.
        training: Boolean, whether to add the penalty.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the strength is its starting value.

    Input shape:
        `(batch_size, steps, ...)`, of rank 3 or more. A single step has no
        penalty.

    Output shape:
        Same as input.

    Raises:
        ValueError: If `beta` or its range is negative.

    Example:

    >>> import keras_stn as stn
    >>> beta = stn.Float("beta", 0.0, 10.0, default=1.0)
    >>> layer = stn.layers.TemporalActivityRegularization(beta)

    Reference:
        [Merity et al., 2017](https://arxiv.org/abs/1708.01009)
    """

    strength_name = "beta"

    def __init__(self, beta, **kwargs):
        super().__init__(beta, **kwargs)
        self.input_spec = keras.layers.InputSpec(min_ndim=3)

    def squares(self, inputs, mask):
        if mask is not None:
            mask = ops.logical_and(mask[:, 1:], mask[:, :-1])
        return ops.square(inputs[:, 1:] - inputs[:, :-1]), mask
