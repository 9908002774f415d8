"""Fashion-MNIST: a sample that ships with the package, or all of it."""

import importlib.resources

import numpy as np

from keras_stn.datasets.split import load_split


def load_sample():
    """Loads the sample of Fashion-MNIST that ships with the package.

    2,000 training, 1,000 validation and 2,000 test images of ten classes of
    clothing: the first of the original training and test sets, the
    validation images from the end of the training set.

    Returns:
        Three pairs `(x, y)` for training, validation and test; `x` of shape
        `(size, 28, 28, 1)`, float32 between 0 and 1, `y` of shape `(size,)`,
        integers between 0 and 9.

    Example:

    >>> from keras_stn.datasets import fashion_mnist
    >>> train, validation, test = fashion_mnist.load_sample()
    >>> train[0].shape
    (2000, 28, 28, 1)

    Reference:
        [Xiao et al., 2017](https://arxiv.org/abs/1708.07747)
    """
    path = importlib.resources.files("keras_stn.datasets").joinpath(
        "fashion_mnist_sample.npz"
    )
    with path.open("rb") as file, np.load(file) as arrays:
        return tuple(
            to_floats(arrays[f"x_{part}"], arrays[f"y_{part}"])
            for part in ("train", "validation", "test")
        )


def load(data_dir=None):
    """Loads all of Fashion-MNIST through TensorFlow Datasets.

    The last 20 % of the training images, in the order of the data set, are
    the validation images.

    Args:
        data_dir: String or path, the folder of TensorFlow Datasets. If
            `None`, its own default, `~/tensorflow_datasets`. What is not
            there is downloaded.

    Returns:
        Three pairs `(x, y)` for training, validation and test, as from
        `load_sample`, of 48,000, 12,000 and 10,000 images.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
    """
    return tuple(
        to_floats(*part) for part in load_split("fashion_mnist", data_dir)
    )


def to_floats(x, y):
    """Bytes of images to float32 between 0 and 1, labels to int32."""
    x = x.reshape(len(x), 28, 28, 1).astype("float32") / 255
    return x, y.astype("int32")
