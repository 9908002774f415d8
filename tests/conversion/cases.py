"""Models of each of Keras's layers that conversion knows."""

import keras
import numpy as np
from keras import layers

from tests.numerics import to_numpy

BATCH = 4


def plain(*inner, **arguments):
    """A model of some layers, with a dropout to tune."""
    return lambda: keras.Sequential(
        [
            keras.Input(**arguments),
            *(layer() for layer in inner),
            layers.Dropout(0.4, name="dropout"),
        ]
    )


def make(layer_class, *args, **kwargs):
    return lambda: layer_class(*args, **kwargs)


def image(layer_class, *args, size=6, channels=3, **kwargs):
    return plain(
        make(layer_class, *args, **kwargs), shape=(size, size, channels)
    )


def sequence(layer_class, *args, **kwargs):
    return plain(make(layer_class, *args, **kwargs), shape=(5, 4))


def words(layer_class, *args, **kwargs):
    return plain(make(layer_class, *args, **kwargs), shape=(5,), dtype="int32")


def wrapped(wrapper, *args, **kwargs):
    return plain(
        lambda: wrapper(*[arg() for arg in args], **kwargs), shape=(5, 4)
    )


def attention(layer_class, masks=None, **kwargs):
    def build():
        x = keras.Input((5, 8))
        y = layer_class(**kwargs)(x, x, **(masks or {}))
        y = layers.Dropout(0.4, name="dropout")(x + y)
        return keras.Model(x, y)

    return build


# A layer that responds is covered by its line here.
RESPONDING = {
    "dense": plain(make(layers.Dense, 3, activation="tanh"), shape=(4,)),
    "dense_no_bias": plain(make(layers.Dense, 3, use_bias=False), shape=(5, 4)),
    "einsum_dense": sequence(
        layers.EinsumDense, "abc,cde->abde", (None, 2, 3), bias_axes="de"
    ),
    "einsum_dense_ellipsis": sequence(
        layers.EinsumDense, "...x,xy->...y", (5, 3), activation="relu"
    ),
    "conv1d": sequence(layers.Conv1D, 3, 2, strides=2, activation="relu"),
    "conv1d_causal": sequence(
        layers.Conv1D, 3, 2, padding="causal", dilation_rate=2
    ),
    "conv2d": image(layers.Conv2D, 4, 3, padding="same", activation="tanh"),
    "conv2d_strided": image(
        layers.Conv2D, 4, (2, 3), strides=2, use_bias=False
    ),
    "conv2d_grouped": image(layers.Conv2D, 4, 3, groups=2, channels=2),
    "conv3d": plain(
        make(layers.Conv3D, 2, 2, activation="relu"), shape=(3, 3, 3, 2)
    ),
    "depthwise_conv1d": sequence(
        layers.DepthwiseConv1D, 2, depth_multiplier=2, activation="relu"
    ),
    "depthwise_conv2d": image(
        layers.DepthwiseConv2D, 3, depth_multiplier=2, padding="same"
    ),
    "depthwise_conv2d_strided": image(
        layers.DepthwiseConv2D, 2, strides=2, use_bias=False
    ),
    "separable_conv1d": sequence(
        layers.SeparableConv1D, 3, 2, activation="elu"
    ),
    "separable_conv2d": image(
        layers.SeparableConv2D, 4, 3, depth_multiplier=2, padding="same"
    ),
    "conv2d_transpose": image(
        layers.Conv2DTranspose, 4, 3, strides=2, padding="same"
    ),
    "conv2d_transpose_padded": image(
        layers.Conv2DTranspose, 2, 3, strides=2, output_padding=1
    ),
    "embedding": words(layers.Embedding, 7, 3),
    "embedding_masked": plain(
        make(layers.Embedding, 7, 3, mask_zero=True),
        make(layers.LSTM, 3),
        shape=(5,),
        dtype="int32",
    ),
    "lstm": sequence(layers.LSTM, 3, dropout=0.2, recurrent_dropout=0.1),
    "lstm_backwards": sequence(
        layers.LSTM, 3, return_sequences=True, go_backwards=True
    ),
    "gru": sequence(layers.GRU, 3, dropout=0.2),
    "gru_reset_before": sequence(
        layers.GRU, 3, reset_after=False, return_sequences=True
    ),
    "simple_rnn": sequence(layers.SimpleRNN, 3, activation="relu"),
    "multi_head_attention": attention(
        layers.MultiHeadAttention, num_heads=2, key_dim=3, dropout=0.1
    ),
    "multi_head_attention_causal": attention(
        layers.MultiHeadAttention,
        {"use_causal_mask": True},
        num_heads=2,
        key_dim=3,
        value_dim=2,
        use_bias=False,
    ),
    "group_query_attention": attention(
        layers.GroupQueryAttention,
        head_dim=3,
        num_query_heads=4,
        num_key_value_heads=2,
        dropout=0.1,
    ),
    "time_distributed": wrapped(
        layers.TimeDistributed, make(layers.Dense, 3, activation="relu")
    ),
    "bidirectional": wrapped(
        layers.Bidirectional, make(layers.LSTM, 3, dropout=0.2)
    ),
    "bidirectional_sum": wrapped(
        layers.Bidirectional,
        make(layers.GRU, 3, return_sequences=True),
        merge_mode="sum",
    ),
    "rnn_of_lstm_cell": wrapped(
        layers.RNN, make(layers.LSTMCell, 3), return_sequences=True
    ),
    "rnn_of_gru_cell": wrapped(layers.RNN, make(layers.GRUCell, 3)),
    "rnn_of_simple_cell": wrapped(layers.RNN, make(layers.SimpleRNNCell, 3)),
    "stacked_cells": plain(
        lambda: layers.RNN(
            layers.StackedRNNCells(
                [layers.LSTMCell(3, dropout=0.1), layers.GRUCell(2)]
            )
        ),
        shape=(5, 4),
    ),
}


def reversible():
    """A language model that reads and writes by one table."""
    table = layers.ReversibleEmbedding(7, 3)
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Dropout(0.4, name="dropout")(table(inputs))
    x = layers.Dense(3)(x)
    return keras.Model(inputs, table(x, reverse=True))


def branches():
    """Two inputs, two outputs, shared and nested layers, operations."""
    images = keras.Input((6, 6, 3), name="images")
    numbers = keras.Input((4,), name="numbers")
    encoder = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="normalization"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
        ],
        name="encoder",
    )
    shared = layers.Dense(4, name="shared")
    x = encoder(images) + shared(numbers)
    x = keras.ops.concatenate([x, encoder(images[:, ::-1]), shared(x)], -1)
    x = layers.Dropout(0.4, name="dropout")(layers.LayerNormalization()(x))
    outputs = {
        "label": layers.Dense(3, name="label")(x),
        "size": layers.Dense(1, name="size")(keras.ops.square(x)),
    }
    return keras.Model({"images": images, "numbers": numbers}, outputs)


def residual():
    """A small residual network, its blocks models inside of models."""

    def block(filters, name):
        x = keras.Input((6, 6, filters))
        y = layers.SeparableConv2D(filters, 3, padding="same")(x)
        y = layers.BatchNormalization()(y)
        y = layers.SpatialDropout2D(0.2, name="dropout")(y)
        return keras.Model(x, layers.ReLU()(layers.Add()([x, y])), name=name)

    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    for name in ("first", "second"):
        x = block(4, name)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="residual")


def transformer():
    """A classifier of texts, as KerasHub builds its backbones."""
    words = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 8)(words)
    positions = keras.ops.zeros_like(words) + keras.ops.arange(5)
    x = x + layers.Embedding(5, 8)(positions)
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(y, y, use_causal_mask=True)
    x = x + layers.Dropout(0.1)(y)
    y = layers.LayerNormalization()(x)
    y = layers.Dense(16, activation="gelu")(y)
    x = x + layers.Dropout(0.1)(layers.Dense(8)(y))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(words, layers.Dense(2)(x))


def augmented():
    """Every layer that distorts or disturbs, and penalties."""
    strengths = {"kernel_regularizer": "l2", "activity_regularizer": "l1"}
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.RandomFlip(),
            layers.RandomBrightness(0.2),
            layers.RandomContrast(0.2),
            layers.RandomHue(0.1),
            layers.RandomSaturation((0.4, 0.6)),
            layers.RandomColorJitter(brightness_factor=0.1, hue_factor=0.1),
            layers.RandomGaussianBlur(sigma=0.5),
            layers.RandomRotation(0.1),
            layers.RandomTranslation(0.1, 0.2),
            layers.RandomZoom(0.1),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.1),
            layers.Conv2D(4, 3, **strengths),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.GaussianDropout(0.2),
            layers.Dense(
                4,
                kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-3),
                bias_regularizer=keras.regularizers.L1(1e-3),
            ),
            layers.AlphaDropout(0.2),
            layers.Dense(2),
        ]
    )


def sequences():
    """Dropout of whole features, of a sequence and of a film."""
    x = keras.Input((4, 4, 4, 2))
    y = layers.Conv3D(2, 2)(layers.SpatialDropout3D(0.1)(x))
    y = layers.TimeDistributed(layers.Flatten())(y)
    y = layers.SpatialDropout1D(0.3)(y)
    return keras.Model(x, layers.GRU(2)(y))


MODELS = {
    **RESPONDING,
    "reversible_embedding_untied": words(
        layers.ReversibleEmbedding, 7, 3, tie_weights=False
    ),
    "reversible": reversible,
    "branches": branches,
    "residual": residual,
    "transformer": transformer,
    "augmented": augmented,
    "sequences": sequences,
}


def draw_inputs(model, seed=0):
    """A batch that a model takes: numbers, or words below 5."""
    random = np.random.default_rng(seed)

    def draw(tensor):
        shape = (BATCH, *tensor.shape[1:])
        if tensor.dtype == "int32":
            return random.integers(0, 5, shape).astype("int32")
        return random.normal(size=shape).astype("float32")

    if isinstance(model, keras.Sequential):
        return draw(model.inputs[0])
    return keras.tree.map_structure(draw, model.input)


def predict(model, inputs):
    """Predictions as NumPy arrays; no augmentation acts."""
    return to_numpy(model(inputs, training=False))
