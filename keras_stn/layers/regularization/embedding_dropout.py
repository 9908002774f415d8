import keras
from keras import ops

from keras_stn.layers.hyper_layer import to_examples
from keras_stn.layers.regularization.base_weight_dropout import (
    BaseWeightDropout,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class EmbeddingDropout(BaseWeightDropout):
    """Drops whole words for a batch; the rate may be tuned.

    In training some rows of a table of embeddings are zero wherever a batch
    uses them, and the others are divided by the share that is kept. Choose it
    for language models, where `Dropout` on the looked-up vectors would let a
    word through at one place and drop it at the next. `HyperEmbedding` has it
    built in.

    Give a tuned rate `per_example=False`: then a batch has one rate and one
    mask. Otherwise every group of examples has its own.

    Args:
        rate: Float between 0 and 1, or a `Float` whose range lies there.
            Fraction of the words to drop.
        seed: Integer, the random seed.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Table of embeddings, or a list of tables for the same words,
            which lose the same rows.
        training: Boolean, whether to drop.
        hyperparameters: A `Sample`, which the model around the layer
            supplies. Without it the rate is its starting value.

    Input shape:
        `(input_dim, output_dim)`, for each table.

    Output shape:
        Same as input. For a `Float` with `per_example=True` there is a first
        axis of groups, of size 1 in inference.

    Raises:
        ValueError: If the rate or its range is not between 0 and 1, or the
            tables are for different numbers of words.

    Example:

    >>> import numpy as np
    >>> import keras_stn as stn
    >>> rate = stn.Float("dropout", 0.0, 0.9, default=0.1, per_example=False)
    >>> layer = stn.layers.EmbeddingDropout(rate)
    >>> layer(np.ones((1000, 8)), training=True).shape
    TensorShape([1000, 8])

    Reference:
        [Gal and Ghahramani, 2016](https://arxiv.org/abs/1512.05287)
    """

    def mask_shape(self, shape):
        return (shape[0],) + (1,) * (len(shape) - 1)

    def factors_of(self, tokens, input_dim, hyperparameters=None):
        """Draws a mask and looks up what to multiply each token's vector by.

        The table stays as it is, which for many words is much larger than
        what a batch uses of it.

        Args:
            tokens: Integer tensor of shape `(batch_size, ...)`.
            input_dim: Integer, the number of words.
            hyperparameters: A `Sample`, or `None`.

        Returns:
            Tensor of the shape of `tokens`.
        """
        factors = self.factors((input_dim,), hyperparameters)
        tokens = ops.cast(tokens, "int32")
        groups = ops.arange(ops.shape(factors)[0], dtype="int32")
        groups = to_examples(groups, tokens)
        groups = ops.reshape(groups, (-1,) + (1,) * (len(tokens.shape) - 1))
        return ops.take(ops.ravel(factors), groups * input_dim + tokens)
