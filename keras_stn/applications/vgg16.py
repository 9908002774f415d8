import keras

from keras_stn.applications.affine import affine_augmentation
from keras_stn.applications.affine import affine_augmentation_strengths
from keras_stn.applications.parts import Parts
from keras_stn.layers.regularization.dropout import Dropout
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D

# The filters of the convolutions between two poolings.
BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


def vgg16(tuned=True, values=None, input_shape=(32, 32, 3), classes=10):
    """VGG16 for CIFAR-10, with the 26 hyperparameters of the paper.

    Thirteen convolutions, each followed by dropout of whole maps, and three
    dense layers, the first two of 512 units.

    | hyperparameter | range | start |
    |---|---|---|
    | `dropout_input` | 0 to 0.95 | 0.05 |
    | `dropout_conv_1` to `dropout_conv_13` | 0 to 0.95 | 0.05 |
    | `dropout_dense_1`, `dropout_dense_2` | 0 to 0.95 | 0.05 |
    | `brightness`, `contrast`, `saturation` | 0 to 1 | 0.05 |
    | `hue` | 0 to 1 | 0.1 |
    | `rotation`, in turns | 0 to 0.125 | 0.0139 |
    | `shear` | 0 to 1 | 0.0875 |
    | `zoom`, `translation` | 0 to 0.5 | 0.05 |
    | `cutout_holes` | 0 to 5 | 1 |
    | `cutout_length` | 2 to 24 | 4 |

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

    ```python
    model = stn.SelfTuningModel(stn.applications.vgg16(), train_steps=5)
    ```

    Reference:
        [Bae and Grosse, 2020](https://arxiv.org/abs/2010.13514)
    """
    filters = [number for block in BLOCKS for number in block]
    names = [f"dropout_conv_{i}" for i in range(1, len(filters) + 1)]
    dense_names = ["dropout_dense_1", "dropout_dense_2"]
    parts = Parts(
        affine_augmentation_strengths(names + dense_names), values, tuned
    )
    layers = [keras.Input(input_shape), *affine_augmentation(parts)]
    names = iter(names)
    for block in BLOCKS:
        for i, number in enumerate(block, 1):
            name = next(names)
            layers.append(
                parts.conv(
                    number,
                    3,
                    activation="relu",
                    kernel_initializer="he_normal",
                )
            )
            if i == len(block):
                layers.append(keras.layers.MaxPooling2D())
            layers.append(SpatialDropout2D(parts[name], name=name))
    layers.append(keras.layers.Flatten())
    for name in dense_names:
        layers += [
            parts.dense(512, activation="relu"),
            Dropout(parts[name], name=name),
        ]
    layers.append(parts.dense(classes))
    return keras.Sequential(layers, name="vgg16")
