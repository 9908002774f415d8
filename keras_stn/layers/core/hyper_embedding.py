import keras
from keras import ops
from keras.src.backend import set_keras_mask

from keras_stn.hyperparameters import hyperparameter
from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.ordinary import ordinary
from keras_stn.layers.regularization.embedding_dropout import EmbeddingDropout
from keras_stn.layers.response_layer import ResponseLayer


@keras.saving.register_keras_serializable(package="keras_stn")
class HyperEmbedding(ResponseLayer, keras.layers.ReversibleEmbedding):
    """Embedding of words whose vectors respond to hyperparameters.

    Use it in place of `keras.layers.Embedding` or
    `keras.layers.ReversibleEmbedding` in a network that a `SelfTuningModel`
    trains. The table E has a response R, with one gate a column. With λ as in
    `ResponseLayer` the vector of the word w is

        E[w] + (V λ) ⊙ R[w]

    Only the vectors that a batch uses are computed. On its own it is an
    ordinary `Embedding`.

    Called with `reverse=True` it maps vectors back to scores of all words,
    with the transposed table E, so that a language model can share one table
    between its input and its output. The reverse map does not respond to
    hyperparameters and has no dropout.

    Args:
        input_dim: Positive integer, the number of words.
        output_dim: Positive integer, the length of their vectors.
        embeddings_initializer: Initializer for the table and its response.
        embeddings_regularizer: Regularizer function applied to the table.
        embeddings_constraint: Constraint function applied to the table.
        mask_zero: Boolean, whether the word 0 is padding, to be masked.
        dropout: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the words that vanish in a training step: see
            `EmbeddingDropout`.
        seed: Integer, the random seed of the dropout.
        use_reverse_bias: Boolean, whether the reverse map adds a bias for
            each word, which starts at zero and does not respond. It comes
            after `logit_soft_cap`.
        **kwargs: Further arguments of `keras.layers.ReversibleEmbedding`,
            such as `tie_weights`, and of `keras.layers.Embedding`.

    Call arguments:
        inputs: Integer tensor of words; with `reverse=True` tensor of
            vectors.
        reverse: Boolean, whether to map vectors to scores.
        training: Boolean, whether to drop words.
        hyperparameters: A `Sample`, which the model around the layer
            supplies.

    Input shape:
        `(batch_size, ...)`, or `(batch_size, ..., output_dim)` with
        `reverse=True`.

    Output shape:
        `(batch_size, ..., output_dim)`, or `(batch_size, ..., input_dim)`
        with `reverse=True`.

    Raises:
        ValueError: If `dropout` or its range is not between 0 and 1, or
            `lora_rank` is given.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> dropout = stn.Float("words", 0.0, 0.9, default=0.1, per_example=False)
    >>> layer = stn.layers.HyperEmbedding(1000, 8, dropout=dropout)
    >>> vectors = layer(np.ones((2, 5), "int32"))
    >>> vectors.shape
    TensorShape([2, 5, 8])
    >>> layer(vectors, reverse=True).shape
    TensorShape([2, 5, 1000])

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088),
        [Press and Wolf, 2017](https://arxiv.org/abs/1608.05859)
    """

    responding = ("embeddings",)
    # A batch takes few rows of a table.
    is_built_once = False

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        dropout=0.0,
        seed=None,
        use_reverse_bias=False,
        **kwargs,
    ):
        weights = kwargs.pop("weights", None)
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.use_reverse_bias = use_reverse_bias
        self.reverse_bias = None
        self.embedding_dropout = EmbeddingDropout(
            dropout, seed=seed, dtype=self.dtype_policy
        )
        if weights is not None:
            # `ReversibleEmbedding` fails with them.
            self.build()
            is_list = isinstance(weights, list) and len(weights) == 1
            self.embeddings.assign(weights[0] if is_list else weights)

    @property
    def dropout(self):
        """The fraction of words that vanish: a number or a `Float`."""
        return self.embedding_dropout.rate

    def tunable_arguments(self):
        return [
            argument.of("dropout")
            for argument in self.embedding_dropout.tunable_arguments()
        ]

    def build(self, input_shape=None):
        # Before the gates, which may be made later: weights keep their order.
        if self.use_reverse_bias:
            self.reverse_bias = self.add_weight(
                name="reverse_bias",
                shape=(self.input_dim,),
                initializer="zeros",
            )
        super().build(input_shape)

    def call(self, inputs, reverse=False, training=False, hyperparameters=None):
        if reverse:
            return self._to_scores(inputs)
        hyperparameters = self.received(hyperparameters)
        responds = self.responds_to(hyperparameters)
        drops = training and self.dropout != 0
        if not responds and not drops:
            return super().call(inputs)
        tokens = ops.cast(inputs, "int32")
        outputs = self._look_up(self.embeddings, tokens)
        if responds:
            gates = to_examples(
                self.gates("embeddings", hyperparameters), tokens
            )
            middle = (1,) * (len(tokens.shape) - 1)
            gates = ops.reshape(gates, (-1, *middle, self.output_dim))
            response = self._look_up(self.response_embeddings, tokens)
            outputs = outputs + gates * response
        if drops:
            factors = self.embedding_dropout.factors_of(
                tokens, self.input_dim, hyperparameters
            )
            outputs = ops.expand_dims(factors, -1) * outputs
        if self.mask_zero:
            # As in `ReversibleEmbedding`: after the call nothing tells words
            # from vectors any more.
            set_keras_mask(outputs, ops.not_equal(inputs, 0))
        return outputs

    def _look_up(self, table, tokens):
        rows = ops.take(table, tokens, axis=0)
        return ops.cast(rows, self.compute_dtype)

    def _to_scores(self, vectors):
        scores = super().call(vectors, reverse=True)
        if self.reverse_bias is not None:
            scores = scores + ops.cast(self.reverse_bias, scores.dtype)
        return scores

    def compute_mask(self, inputs, mask=None):
        # Words that come as floats are masked in `call`.
        if self.mask_zero and keras.backend.is_int_dtype(inputs.dtype):
            return ops.not_equal(inputs, 0)
        return None

    def compute_output_shape(self, input_shape, reverse=False):
        return tuple(super().compute_output_shape(input_shape, reverse))

    def compute_output_spec(
        self, inputs, reverse=False, training=False, hyperparameters=None
    ):
        return super().compute_output_spec(inputs, reverse)

    def to_keras(self, values):
        is_reversed = any(
            node.arguments.kwargs.get("reverse") for node in self._inbound_nodes
        )
        if is_reversed and (self.tie_weights or self.use_reverse_bias):
            raise ValueError(
                f"The layer '{self.name}' maps vectors back to scores by a "
                "table that does not respond, or adds a bias to them, which no "
                "layer of Keras does. Use `model.export(path)`, or map them by "
                "a `HyperDense` layer. Received: "
                f"tie_weights={self.tie_weights}, "
                f"use_reverse_bias={self.use_reverse_bias}"
            )
        keras_class = keras.layers.Embedding
        if not self.tie_weights:
            keras_class = keras.layers.ReversibleEmbedding
        return ordinary(self, values, keras_class)

    def get_config(self):
        return {
            **super().get_config(),
            "dropout": hyperparameter.serialize(self.dropout),
            "seed": self.embedding_dropout.seed,
            "use_reverse_bias": self.use_reverse_bias,
        }
