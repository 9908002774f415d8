import keras

from keras_stn.applications.parts import Parts
from keras_stn.applications.parts import color_augmentation_strengths
from keras_stn.applications.parts import dropout_rates
from keras_stn.layers.regularization.dropout import Dropout
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D

FILTERS = (64, 192, 384, 256, 256)
POOLED = (1, 2, 5)
UNITS = 4096


def alexnet(
    tuned=True, values=None, input_shape=(32, 32, 3), classes=10, width=1.0
):
    """AlexNet for CIFAR-10, with the 15 hyperparameters of the paper.

    Five convolutions, each followed by dropout of whole maps, and three dense
    layers, the first two of 4,096 units and each behind a dropout.

    | hyperparameter | range | start |
    |---|---|---|
    | `dropout_conv_1` to `dropout_conv_5` | 0 to 0.9 | 0.05 |
    | `dropout_dense_1`, `dropout_dense_2` | 0 to 0.9 | 0.05 |
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
        width: Positive float, what the numbers of filters and units are
            multiplied by; 0.25 is for CPUs.

    Returns:
        A `keras.Model` from images with pixels between 0 and 255 to logits.

    Raises:
        ValueError: If `values` has an unknown name or a value out of range,
            or `width` leaves a layer no filter.

    Example:

    ```python
    network = stn.applications.alexnet()
    model = stn.SelfTuningModel(network, entropy_weight=1e-5)
    ```

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), section 4.2
    """
    if FILTERS[0] * width < 1:
        raise ValueError(
            f"`width` must be at least {1 / FILTERS[0]}, for one filter in "
            f"the first layer. Received: width={width}"
        )
    names = [f"dropout_conv_{i}" for i in range(1, 6)]
    dense_names = ["dropout_dense_1", "dropout_dense_2"]
    parts = Parts(
        [
            *color_augmentation_strengths(),
            *dropout_rates(names + dense_names),
        ],
        values,
        tuned,
    )
    layers = [keras.Input(input_shape), *parts.color_augmentation()]
    for i, (filters, name) in enumerate(zip(FILTERS, names), 1):
        strides = 2 if i == 1 else 1
        layers.append(
            parts.conv(
                int(filters * width), 3, strides=strides, activation="relu"
            )
        )
        if i in POOLED:
            layers.append(keras.layers.MaxPooling2D())
        layers.append(SpatialDropout2D(parts[name], name=name))
    layers.append(keras.layers.Flatten())
    for name in dense_names:
        layers += [
            Dropout(parts[name], name=name),
            parts.dense(int(UNITS * width), activation="relu"),
        ]
    layers.append(parts.dense(classes))
    return keras.Sequential(layers, name="alexnet")
