import keras

from keras_stn.applications.parts import FASHION_MNIST_DEVIATION
from keras_stn.applications.parts import FASHION_MNIST_MEAN
from keras_stn.applications.parts import Parts
from keras_stn.applications.parts import delta_cutout_strengths
from keras_stn.applications.parts import dropout_rates
from keras_stn.applications.parts import normalization
from keras_stn.layers.regularization.dropout import Dropout
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D

HIDDEN_UNITS = 7 * 7 * 32


def simple_cnn(tuned=True, values=None, input_shape=(28, 28, 1), classes=10):
    """The convolutional network for Fashion-MNIST, with 6 hyperparameters.

    Two convolutions of 16 and 32 filters of 5 x 5, a dense layer of 1,568
    units, and an output layer.

    | hyperparameter | range | start |
    |---|---|---|
    | `cutout_holes` | 0 to 5 | 1 |
    | `cutout_length` | 2 to 24 | 4 |
    | `dropout_input` | 0 to 0.95 | 0.05 |
    | `dropout_conv_1`, `dropout_conv_2` | 0 to 0.95 | 0.05 |
    | `dropout_dense` | 0 to 0.95 | 0.05 |

    Args:
        tuned: Boolean. If `False`, an ordinary Keras network with the same
            regularization at fixed values, for comparison.
        values: Dictionary from names of hyperparameters to the values they
            start from, or are fixed at; the rest as in the table.
        input_shape: Tuple of integers, the shape of an image, channels last.
        classes: Integer, the number of classes.

    Returns:
        A `keras.Model` from images with pixels between 0 and 1 to logits.

    Raises:
        ValueError: If `values` has an unknown name or a value out of range.

    Example:

    >>> import keras_stn as stn
    >>> network = stn.applications.simple_cnn()
    >>> len(stn.SelfTuningModel(network).hyperparameter_values())
    6

    Reference:
        [Bae and Grosse, 2020](https://arxiv.org/abs/2010.13514)
    """
    names = ["dropout_conv_1", "dropout_conv_2"]
    parts = Parts(
        [
            *delta_cutout_strengths(),
            *dropout_rates(
                ["dropout_input", *names, "dropout_dense"], 0.95, scale=1.0
            ),
        ],
        values,
        tuned,
    )
    layers = [
        keras.Input(input_shape),
        normalization(FASHION_MNIST_MEAN, FASHION_MNIST_DEVIATION),
        parts.cutout(),
        parts.input_dropout(),
    ]
    for filters, name in zip((16, 32), names):
        layers += [
            parts.conv(filters, 5, activation="relu"),
            keras.layers.MaxPooling2D(),
            SpatialDropout2D(parts[name], name=name),
        ]
    layers += [
        keras.layers.Flatten(),
        parts.dense(HIDDEN_UNITS, activation="relu"),
        Dropout(parts["dropout_dense"], name="dropout_dense"),
        parts.dense(classes),
    ]
    return keras.Sequential(layers, name="simple_cnn")
