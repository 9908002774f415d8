import keras
from keras import ops

from keras_stn.layers.regularization.base_activity_penalty import (
    BaseActivityPenalty,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class ActivityRegularization(BaseActivityPenalty):
    """Adds a penalty on the size of its input to the loss of training.

    The penalty is `alpha * mean(h**2)`, over all elements of the input h. It
    is the AR of language models: put it behind the last recurrent layer and
    its dropout. With a `Float` each example has its own strength:
    `mean(alpha_i * mean(h_i**2))`, the outer mean over examples.

    Unlike the penalty of `keras.layers.ActivityRegularization`, which is a
    sum over features, this one does not grow with the sequence or the number
    of features, and it counts in training steps only: neither in evaluation
    nor in tuning steps, whose objective has no penalties in the paper. The
    official code for language models adds it to the tuning loss as well.

    Args:
        alpha: Float, or a `Float` whose range is not negative. The strength.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of any rank.
        mask: Boolean tensor of shape `(batch_size, steps)`. Masked steps do
            not count: the mean is over the steps of all examples that are
            left.
        training: Boolean, whether to add the penalty.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the strength is its starting value.

    Input shape:
        `(batch_size, ...)`.

    Output shape:
        Same as input.

    Raises:
        ValueError: If `alpha` or its range is negative.

    Example:

    >>> import keras_stn as stn
    >>> alpha = stn.Float("alpha", 0.0, 10.0, default=2.0)
    >>> layer = stn.layers.ActivityRegularization(alpha)

    Reference:
        [Merity et al., 2017](https://arxiv.org/abs/1708.01009)
    """

    strength_name = "alpha"

    def __init__(self, alpha, **kwargs):
        super().__init__(alpha, **kwargs)

    def squares(self, inputs, mask):
        return ops.square(inputs), mask
