import keras

from keras_stn.applications.parts import Parts
from keras_stn.applications.parts import dropout_rates
from keras_stn.hyperparameters import Float
from keras_stn.layers.core.hyper_embedding import HyperEmbedding
from keras_stn.layers.hyper_layer import find_layers
from keras_stn.layers.regularization.activity_regularization import (
    ActivityRegularization,
)
from keras_stn.layers.regularization.temporal_activity_regularization import (
    TemporalActivityRegularization,
)
from keras_stn.layers.regularization.variational_dropout import (
    VariationalDropout,
)
from keras_stn.layers.response_layer import ResponseLayer
from keras_stn.layers.rnn.hyper_lstm import HyperLSTM


def lstm_language_model(
    vocabulary_size,
    tuned=True,
    values=None,
    units=650,
    embedding_units=None,
    layers=2,
    batch_size=40,
    length=70,
    mask_zero=False,
):
    """The language model of the Penn Treebank, with 7 hyperparameters.

    Embedding, stateful LSTM layers, and the embedding again as the output
    layer. One mask serves all time steps of a segment.

    | hyperparameter | acts on | range | start |
    |---|---|---|---|
    | `dropout_output` | output of the last LSTM layer | 0 to 0.95 | 0.05 |
    | `dropout_hidden` | what goes from layer to layer | 0 to 0.95 | 0.05 |
    | `dropout_input` | vectors of the words | 0 to 0.95 | 0.05 |
    | `dropout_embedding` | whole words | 0 to 0.95 | 0.05 |
    | `dropconnect` | recurrent kernels | 0 to 0.95 | 0.05 |
    | `alpha` | size of the last activations | 0 or more | 0.05 |
    | `beta` | change of the last activations | 0 or more | 0.05 |

    The last four are one for a batch. The scales start at 1 and are meant to
    stay there: pass `tune_scales=False` to the `SelfTuningModel`.

    Args:
        vocabulary_size: Integer, the number of words, padding counted.
        tuned: Boolean. If `False`, the same network with the same
            regularization at fixed values, an ordinary Keras model. Or a list
            of the names of those to tune, the others being fixed.
        values: Dictionary from names of hyperparameters to the values they
            start from, or are fixed at; the rest as in the table.
        units: Integer, the units of the LSTM layers but the last.
        embedding_units: Integer, the length of a word's vector and the units
            of the last LSTM layer. If `None`, `units`.
        layers: Integer, the number of LSTM layers.
        batch_size: Integer, the number of streams.
        length: Integer, the words of a segment.
        mask_zero: Boolean, whether the LSTM layers skip the word 0: needed
            where padding stands between words, as with random lengths.

    Returns:
        A `keras.Model` from words, int32 of shape `(batch_size, length)`, to
        logits of shape `(batch_size, length, vocabulary_size)`.

    Raises:
        ValueError: If `values` or `tuned` has an unknown name, or a value is
            out of range.

    Example:

    >>> import keras_stn as stn
    >>> network = stn.applications.lstm_language_model(1000, units=16)
    >>> len(stn.SelfTuningModel(network).hyperparameter_values())
    7

    Reference:
        - [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
        - [Merity et al., 2018](https://arxiv.org/abs/1708.02182)
    """
    parts = Parts(strengths(), values, tuned)
    embedding_units = embedding_units or units
    embedding = HyperEmbedding(
        vocabulary_size,
        embedding_units,
        embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
        mask_zero=mask_zero,
        dropout=parts["dropout_embedding"],
        use_reverse_bias=True,
        name="embedding",
    )
    words = keras.Input(batch_shape=(batch_size, length), dtype="int32")
    x = embedding(words)
    x = VariationalDropout(parts["dropout_input"], name="dropout_input")(x)
    for i in range(1, layers + 1):
        is_last = i == layers
        x = HyperLSTM(
            embedding_units if is_last else units,
            return_sequences=True,
            stateful=True,
            recurrent_dropconnect=parts["dropconnect"],
            name=f"lstm_{i}",
        )(x)
        if not is_last:
            name = f"dropout_hidden_{i}"
            x = VariationalDropout(parts["dropout_hidden"], name=name)(x)
    x = TemporalActivityRegularization(parts["beta"], name="temporal")(x)
    x = VariationalDropout(parts["dropout_output"], name="dropout_output")(x)
    x = ActivityRegularization(parts["alpha"], name="activity")(x)
    logits = embedding(x, reverse=True)
    network = keras.Model(words, logits, name="lstm_language_model")
    if not tuned:
        freeze_responses(network)
    return network


def strengths():
    """The seven hyperparameters, with their starts."""
    shared = {"scale": 1.0, "per_example": False}
    return [
        Float("alpha", 0.0, default=0.05, **shared),
        Float("beta", 0.0, default=0.05, **shared),
        *dropout_rates(
            ["dropout_output", "dropout_input", "dropout_hidden"], 0.95, 1.0
        ),
        Float("dropout_embedding", 0.0, 0.95, default=0.05, **shared),
        Float("dropconnect", 0.0, 0.95, default=0.05, **shared),
    ]


def freeze_responses(network):
    """Spares the weights that nothing uses where nothing is tuned."""
    for layer in find_layers(network):
        if isinstance(layer, ResponseLayer):
            for variable in layer.trainable_variables:
                if variable.name.startswith("response_"):
                    variable.trainable = False
