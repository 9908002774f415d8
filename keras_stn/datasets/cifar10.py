"""CIFAR-10, through TensorFlow Datasets."""

from keras_stn.datasets.split import load_split


def load(data_dir=None):
    """Loads CIFAR-10: 32 x 32 colour photographs of ten kinds of things.

    The last 20 % of the training images, in the order of the data set, are
    the validation images, as in the experiments of MacKay et al.

    Args:
        data_dir: String or path, the folder of TensorFlow Datasets. If
            `None`, its own default, `~/tensorflow_datasets`. What is not
            there is downloaded.

    Returns:
        Three pairs `(x, y)` for training, validation and test, of 40,000,
        10,000 and 10,000 images; `x` of shape `(size, 32, 32, 3)`, uint8
        between 0 and 255, `y` of shape `(size,)`, integers between 0 and 9.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.

    Example:

    ```python
    train, validation, test = cifar10.load()
    ```

    Reference:
        A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images,
        2009
    """
    return tuple(
        (x, y.astype("int32")) for x, y in load_split("cifar10", data_dir)
    )
