import keras

from keras_stn.applications.parts import Parts
from keras_stn.applications.parts import dropout_rates
from keras_stn.layers.regularization.dropout import Dropout

HIDDEN_UNITS = 1200


def mlp(tuned=True, values=None, input_shape=(28, 28, 1), classes=10):
    """The dense network for MNIST, with 3 hyperparameters.

    Two hidden layers of 1,200 units, with a dropout before every layer.

    | hyperparameter | range | start |
    |---|---|---|
    | `dropout_input` | 0 to 0.95 | 0.05 |
    | `dropout_dense_1`, `dropout_dense_2` | 0 to 0.95 | 0.05 |

    Args:
        tuned: Boolean. If `False`, an ordinary Keras network with the same
            regularization at fixed values, for comparison.
        values: Dictionary from names of hyperparameters to the values they
            start from, or are fixed at; the rest as in the table.
        input_shape: Tuple of integers, the shape of an image.
        classes: Integer, the number of classes.

    Returns:
        A `keras.Model` from images with pixels between 0 and 1 to logits.

    Raises:
        ValueError: If `values` has an unknown name or a value out of range.

    Example:

    >>> import keras_stn as stn
    >>> network = stn.applications.mlp()
    >>> len(stn.SelfTuningModel(network).hyperparameter_values())
    3

    Reference:
        [Bae and Grosse, 2020](https://arxiv.org/abs/2010.13514)
    """
    names = ["dropout_input", "dropout_dense_1", "dropout_dense_2"]
    parts = Parts(dropout_rates(names, 0.95, scale=1.0), values, tuned)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            Dropout(parts["dropout_input"], name="dropout_input"),
            parts.dense(HIDDEN_UNITS, activation="relu"),
            Dropout(parts["dropout_dense_1"], name="dropout_dense_1"),
            parts.dense(HIDDEN_UNITS, activation="relu"),
            Dropout(parts["dropout_dense_2"], name="dropout_dense_2"),
            parts.dense(classes),
        ],
        name="mlp",
    )
