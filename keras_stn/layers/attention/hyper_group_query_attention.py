import keras

from keras_stn.layers.attention.base_hyper_attention import BaseHyperAttention


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperGroupQueryAttention(
    BaseHyperAttention, keras.layers.GroupQueryAttention
):
    """Grouped-query attention whose weights respond to hyperparameters.

    Use it in place of `keras.layers.GroupQueryAttention` in a network that a
    `SelfTuningModel` trains: several heads of the query share one head of key
    and value. The projections of query, key, value, gate and output are
    `HyperEinsumDense` layers, and the dropout of the attention probabilities
    may be tuned, with a rate of its own per example. On its own it is an
    ordinary `GroupQueryAttention` layer.

    With a tuned dropout the attention probabilities are computed one by one,
    as Keras does for any dropout but 0, and not by a fused kernel.

    Args:
        head_dim: Positive integer, size of each attention head.
        num_query_heads: Positive integer, number of heads of the query.
        num_key_value_heads: Positive integer, number of heads of key and
            value, which divides `num_query_heads`. With 1 it is multi-query
            attention.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the attention probabilities to drop. The attribute
            `declared_dropout` tells it, while `dropout` is a number, the
            starting value.
        *args: Further arguments of `keras.layers.GroupQueryAttention`.
        **kwargs: Further arguments of `keras.layers.GroupQueryAttention`.

    Call arguments:
        query: Tensor of shape `(batch_size, target_length, feature_dim)`.
        value: Tensor of shape `(batch_size, source_length, feature_dim)`.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the dropout is its starting value.
        **kwargs: Further call arguments of
            `keras.layers.GroupQueryAttention`: `key`, masks and so on.

    Output shape:
        `(batch_size, target_length, feature_dim)`, and with
        `return_attention_scores=True` the attention probabilities before
        dropout, of shape
        `(batch_size, num_query_heads, target_length, source_length)`.

    Raises:
        ValueError: If the range of `dropout` is not between 0 and 1, the
            heads of the query cannot be shared out, or flash attention is
            asked for besides dropout.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> layer = stn.layers.HyperGroupQueryAttention(
    ...     head_dim=4,
    ...     num_query_heads=4,
    ...     num_key_value_heads=2,
    ...     dropout=stn.Float("attention_dropout", 0.0, 0.9, default=0.1),
    ... )
    >>> x = np.ones((3, 5, 8))
    >>> layer(x, x, use_causal_mask=True).shape
    TensorShape([3, 5, 8])

    Reference:
        [Ainslie et al., 2023](https://arxiv.org/abs/2305.13245);
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088).
    """

    def __init__(
        self,
        head_dim,
        num_query_heads,
        num_key_value_heads,
        dropout=0.0,
        *args,
        **kwargs,
    ):
        sizes = (head_dim, num_query_heads, num_key_value_heads)
        super().__init__(sizes, dropout, *args, **kwargs)
