import keras

from keras_stn.applications.parts import Parts
from keras_stn.applications.parts import color_augmentation_strengths
from keras_stn.applications.parts import dropout_rates
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D

FILTERS = (10, 20, 40)


def small_cnn(tuned=True, values=None, input_shape=(32, 32, 3), classes=10):
    """The small convolutional network for CIFAR-10, with 11 hyperparameters.

    Three convolutions of 10, 20 and 40 filters, each followed by pooling and
    dropout of whole maps, and a dense layer, which does not respond.

    | hyperparameter | range | start |
    |---|---|---|
    | `dropout_conv_1` to `dropout_conv_3` | 0 to 0.9 | 0.05 |
    | `brightness`, `contrast`, `saturation` | 0 to 1 | 0.05 |
    | `hue` | 0 to 1 | 0.1 |
    | `cutout_holes` | 0 to 4 | 1 |
    | `cutout_length` | 0 to 24 | 4 |
    | `dropout_input` | 0 to 1 | 0.05 |
    | `input_scale` | 0 to 0.3 | 0.05 |

    Args:
        tuned: Boolean. If `False`, an ordinary Keras network with the same
            regularization at fixed values, for comparison.
        values: Dictionary from names of hyperparameters to the values they
            start from, or are fixed at; the rest as in the table.
        input_shape: Tuple of integers, the shape of an image, channels last.
        classes: Integer, the number of classes.

    Returns:
        A `keras.Model` from images with pixels between 0 and 255 to logits.

    Raises:
        ValueError: If `values` has an unknown name or a value out of range.

    Example:

    >>> import keras_stn as stn
    >>> network = stn.applications.small_cnn()
    >>> len(stn.SelfTuningModel(network).hyperparameter_values())
    11

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """
    names = [f"dropout_conv_{i}" for i in (1, 2, 3)]
    parts = Parts(
        [
            *color_augmentation_strengths(),
            *dropout_rates(names),
        ],
        values,
        tuned,
    )
    layers = [keras.Input(input_shape), *parts.color_augmentation()]
    for filters, name in zip(FILTERS, names):
        layers += [
            parts.conv(filters, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            SpatialDropout2D(parts[name], name=name),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(classes)]
    return keras.Sequential(layers, name="small_cnn")
