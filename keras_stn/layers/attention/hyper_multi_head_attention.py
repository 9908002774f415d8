import keras

from keras_stn.layers.attention.base_hyper_attention import BaseHyperAttention


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperMultiHeadAttention(
    BaseHyperAttention, keras.layers.MultiHeadAttention
):
    """Multi-head attention whose weights respond to hyperparameters.

    Use it in place of `keras.layers.MultiHeadAttention` in a network that a
    `SelfTuningModel` trains. The projections of query, key, value and output
    are `HyperEinsumDense` layers, and the dropout of the attention
    probabilities may be tuned, with a rate of its own per example. On its own
    it is an ordinary `MultiHeadAttention` layer.

    With a tuned dropout the attention probabilities are computed one by one,
    as Keras does for any dropout but 0, and not by a fused kernel.

    Args:
        num_heads: Positive integer, number of attention heads.
        key_dim: Positive integer, size of each head for query and key.
        value_dim: Positive integer, size of each head for value; `key_dim`
            if it is `None`.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the attention probabilities to drop.
        *args: Further arguments of `keras.layers.MultiHeadAttention`.
        **kwargs: Further arguments of `keras.layers.MultiHeadAttention`.

    Call arguments:
        query: Tensor of shape `(batch_size, target_length, query_dim)`.
        value: Tensor of shape `(batch_size, source_length, value_dim)`.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the dropout is its starting value.
        **kwargs: Further call arguments of
            `keras.layers.MultiHeadAttention`: `key`, masks and so on.

    Output shape:
        `(batch_size, target_length, *output_shape)`, and with
        `return_attention_scores=True` the attention probabilities before
        dropout, of shape
        `(batch_size, num_heads, target_length, source_length)`.

    Raises:
        ValueError: If the range of `dropout` is not between 0 and 1, or flash
            attention is asked for besides dropout.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperMultiHeadAttention(
    ...     num_heads=2,
    ...     key_dim=4,
    ...     dropout=stn.Float("attention_dropout", 0.0, 0.9, default=0.1),
    ... )
    >>> x = np.ones((3, 5, 8))
    >>> layer(x, x, use_causal_mask=True).shape
    TensorShape([3, 5, 8])

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762);
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088).
    """

    def __init__(
        self, num_heads, key_dim, value_dim=None, dropout=0.0, *args, **kwargs
    ):
        sizes = (num_heads, key_dim, value_dim)
        super().__init__(sizes, dropout, *args, **kwargs)

    @property
    def dropout(self):
        return self.declared_dropout
