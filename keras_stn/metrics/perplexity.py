import keras
from keras import ops
from keras.src.backend import get_keras_mask


@keras.saving.register_keras_serializable(package="keras_stn")
class Perplexity(keras.metrics.Mean):
    """Exponential of the mean crossentropy per token.

    The customary measure of language models: a model of perplexity 60 is as
    unsure about the next word as if it had to choose among 60 equally likely
    ones. The mean is over all tokens since the last reset. It is exact for
    batches and sequences of any size, while the `loss` that Keras logs gives
    every batch of as many sequences the same say, however much of it is
    padding.

    Padding does not count: tokens that a Keras mask hides, as from
    `keras.layers.Embedding(mask_zero=True)`, and tokens whose label is
    `mask_token_id`.

    Args:
        from_logits: Boolean, whether predictions are logits.
        mask_token_id: Integer, a label whose tokens do not count. Needed
            only where no Keras mask reaches the predictions.
        dtype: The dtype of the metric. If `None`, Keras's default, float32,
            under mixed precision as well.
        name: String, the metric's name.

    Call arguments:
        y_true: Integer labels.
        y_pred: Predictions.
        sample_weight: Weights of the sequences or of the tokens.

    Input shape:
        `(batch_size, ...)` for labels, `(batch_size, ..., num_tokens)` for
        predictions.

    Output shape:
        A scalar, 0 before any token.

    Example:

    >>> import keras_stn as stn
    >>> metric = stn.metrics.Perplexity()
    >>> metric.update_state([[1, 2]], [[[0.25, 0.5, 0.25], [0.5, 0.3, 0.2]]])
    >>> round(float(metric.result()), 4)
    3.1623
    """

    def __init__(
        self,
        from_logits=False,
        mask_token_id=None,
        dtype=None,
        name="perplexity",
    ):
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.mask_token_id = mask_token_id
        # For callbacks with `mode="auto"`.
        self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):
        mask = get_keras_mask(y_pred)
        y_pred = ops.convert_to_tensor(y_pred, self.dtype)
        y_true = ops.convert_to_tensor(y_true)
        if len(y_true.shape) == len(y_pred.shape):
            y_true = ops.squeeze(y_true, -1)
        weights = ops.ones(ops.shape(y_true), self.dtype)
        if sample_weight is not None:
            weights *= to_rank(sample_weight, len(y_true.shape), self.dtype)
        counts = None if mask is None else ops.cast(mask, "bool")
        if self.mask_token_id is not None:
            is_token = ops.not_equal(y_true, self.mask_token_id)
            counts = is_token if counts is None else counts & is_token
            # The label may lie beyond the predictions, as -1 does.
            y_true = ops.where(is_token, y_true, 0)
        values = ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits
        )
        if counts is not None:
            weights = ops.where(counts, weights, 0)
            # Zero times a loss that is not finite would not be zero.
            values = ops.where(counts, values, 0)
        # `Mean` takes means over the axes of a sequence: in one row, tokens
        # of short and of long batches count alike.
        super().update_state(ops.ravel(values), ops.ravel(weights))

    def result(self):
        # Of nothing, `Mean` makes 0.
        return ops.where(self.count > 0, ops.exp(super().result()), 0)

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "mask_token_id": self.mask_token_id,
        }


def to_rank(sample_weight, rank, dtype):
    """Adds axes at the end, so that a weight of a sequence is its tokens'."""
    sample_weight = ops.convert_to_tensor(sample_weight, dtype)
    missing = rank - len(sample_weight.shape)
    return ops.reshape(
        sample_weight, (*ops.shape(sample_weight), *(1,) * missing)
    )
