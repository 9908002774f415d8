"""Data sets of TensorFlow Datasets, divided as in the papers."""

VALIDATION_SHARE = 0.2


def load_split(name, data_dir=None):
    """Loads a data set; the last 20 % of its training part validate.

    Args:
        name: String, the data set's name in TensorFlow Datasets.
        data_dir: String or path, the folder of TensorFlow Datasets, or
            `None` for its own default.

    Returns:
        Three pairs of arrays for training, validation and test.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"Loading {name} needs TensorFlow Datasets. Install it with "
            "`pip install keras_stn[examples]`."
        ) from error
    train, test = tfds.as_numpy(
        tfds.load(
            name,
            split=["train", "test"],
            data_dir=data_dir,
            batch_size=-1,
            as_supervised=True,
        )
    )
    first = round(len(train[0]) * (1 - VALIDATION_SHARE))
    return (
        tuple(array[:first] for array in train),
        tuple(array[first:] for array in train),
        test,
    )
