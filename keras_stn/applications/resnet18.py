import keras

from keras_stn.applications.affine import affine_augmentation
from keras_stn.applications.affine import affine_augmentation_strengths
from keras_stn.applications.parts import Parts
from keras_stn.layers.regularization.spatial_dropout import SpatialDropout2D

# Filters and first stride of the eight blocks.
BLOCKS = (
    (64, 1),
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
)


def resnet18(tuned=True, values=None, input_shape=(32, 32, 3), classes=10):
    """ResNet18 for CIFAR-10, with the 19 hyperparameters of the paper.

    A convolution and eight residual blocks of two, each block followed by
    dropout of whole maps. Batch normalization has no response of its own: in
    tuning steps it uses its moving statistics and leaves them as they are.

    | hyperparameter | range | start |
    |---|---|---|
    | `dropout_input` | 0 to 0.95 | 0.05 |
    | `dropout_block_1` to `dropout_block_8` | 0 to 0.95 | 0.05 |
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
    model = stn.SelfTuningModel(stn.applications.resnet18(), train_steps=5)
    ```

    Reference:
        - [Bae and Grosse, 2020](https://arxiv.org/abs/2010.13514)
        - [He et al., 2016](https://arxiv.org/abs/1512.03385)
    """
    names = [f"dropout_block_{i}" for i in range(1, len(BLOCKS) + 1)]
    parts = Parts(affine_augmentation_strengths(names), values, tuned)
    inputs = x = keras.Input(input_shape)
    for layer in affine_augmentation(parts):
        x = layer(x)
    x = normalized_conv(parts, x, 64, 3, 1)
    x = keras.layers.ReLU()(x)
    for (filters, strides), name in zip(BLOCKS, names):
        x = residual_block(parts, x, filters, strides)
        x = SpatialDropout2D(parts[name], name=name)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = parts.dense(classes)(x)
    return keras.Model(inputs, outputs, name="resnet18")


def residual_block(parts, x, filters, strides):
    """Two convolutions and a way around them."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = normalized_conv(parts, x, filters, 1, strides)
    x = normalized_conv(parts, x, filters, 3, strides)
    x = keras.layers.ReLU()(x)
    x = normalized_conv(parts, x, filters, 3, 1)
    return keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))


def normalized_conv(parts, x, filters, kernel_size, strides):
    """A convolution without bias, then batch normalization."""
    x = parts.conv(
        filters,
        kernel_size,
        strides=strides,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return keras.layers.BatchNormalization()(x)
