"""The stream of training and tuning batches."""

import itertools
import types
from typing import NamedTuple

import keras
from keras import ops
from keras.src.trainers.data_adapters import array_data_adapter
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters import data_adapter
from keras.src.trainers.data_adapters import generator_data_adapter
from keras.src.trainers.data_adapters import get_data_adapter
from keras.src.trainers.data_adapters import is_tf_dataset
from keras.src.trainers.data_adapters import py_dataset_adapter

from keras_stn import backend


class Cycle(NamedTuple):
    """One step's data: training batches, then tuning batches.

    Each batch is what Keras's `train_step` gets: `(x, y)` or
    `(x, y, sample_weight)`. The batches are not stacked: a strategy splits
    each of them over its replicas, and the last one may be smaller.
    """

    training: tuple
    tuning: tuple
    # For each tuning batch a boolean tensor, whether the tuning data start
    # again with it; empty unless states are carried from batch to batch.
    restarts: tuple = ()


class Alternation(data_adapter.DataAdapter):
    """Gives `fit` cycles of training and tuning batches.

    An epoch is one pass over the training data, or `steps_per_epoch` of its
    batches. Its last cycle has as many training batches as are left. The
    tuning data start again at their end, wherever an epoch ends.

    Args:
        training: A Keras data adapter.
        tuning: A Keras data adapter.
        train_steps: Integer, training batches a cycle.
        tuning_steps: Integer, tuning batches a cycle.
        steps_per_epoch: Integer, training batches an epoch, or `None`.
        strategy: The model's `tf.distribute.Strategy`.
        is_stateful: Boolean, whether states are carried from batch to batch.
            The tuning batches are then those of every pass, as they are.

    Attributes:
        is_tuning: Boolean, whether cycles have tuning batches.
        is_replaying: Boolean, whether data are only read, to come to a place
            in them. The cycles are then empty.
        latest: The `Cycle` that was read last.
    """

    def __init__(
        self,
        training,
        tuning,
        train_steps,
        tuning_steps,
        steps_per_epoch,
        strategy,
        is_stateful=False,
    ):
        self.is_tuning = True
        self.is_replaying = False
        self.latest = None
        self._is_stateful = is_stateful
        self._adapter = training
        self._train_steps = train_steps
        self._tuning_steps = tuning_steps
        self._steps_per_epoch = steps_per_epoch
        check_readable(training, strategy)
        self.training = training.get_tf_dataset()
        self._training_batches = backend.distribute(self.training, strategy)
        self._tuning_iterator = self._iterate_tuning(tuning, strategy)

    def _iterate_tuning(self, tuning, strategy):
        dataset = tuning.get_tf_dataset()
        if self._is_stateful:
            return passes(backend.distribute(dataset, strategy))
        # Arrays are cut into batches across the border between two passes, so
        # that all have one shape and every example has its equal share.
        is_arrays = isinstance(tuning, array_data_adapter.ArrayDataAdapter)
        batch_size = tuning.batch_size if is_arrays else None
        dataset = backend.repeat(dataset, batch_size)
        # The shares of several workers do not keep a Python generator alive.
        self._tuning = dataset
        return iter(backend.distribute(dataset, strategy))

    def get_tf_dataset(self):
        return backend.as_distributed(self._cycles)

    def _cycles(self):
        batches = iter(self._training_batches)
        seen = 0
        while True:
            size = self._train_steps
            if self._steps_per_epoch:
                left = self._steps_per_epoch - seen % self._steps_per_epoch
                size = min(size, left)
            training = tuple(itertools.islice(batches, size))
            if not training:
                if not seen:
                    raise ValueError(
                        "The training data `x` hold no batch; pass at least "
                        "one example."
                    )
                return
            seen += len(training)
            self.latest = Cycle(training, *self._tuning_batches())
            yield Cycle((), ()) if self.is_replaying else self.latest

    def _tuning_batches(self):
        if not self.is_tuning:
            return (), ()
        batches = tuple(
            itertools.islice(self._tuning_iterator, self._tuning_steps)
        )
        if len(batches) < self._tuning_steps:
            raise ValueError(
                "The tuning data ran out. Pass validation data or "
                "`tuning_data` with at least one example; a generator must "
                "not end, since the tuning data are used over and over."
            )
        return tuple(zip(*batches)) if self._is_stateful else (batches, ())

    def on_epoch_begin(self):
        self._adapter.on_epoch_begin()

    def on_epoch_end(self):
        self._adapter.on_epoch_end()

    @property
    def num_batches(self):
        """Cycles an epoch, or `None` where the data do not tell."""
        return to_cycles(self._adapter.num_batches, self._train_steps)

    @property
    def batch_size(self):
        return self._adapter.batch_size


def check_readable(training, strategy):
    """Raises a sentence if several workers cannot read the training data."""
    if backend.worker(strategy)[1] > 1 and isinstance(
        training,
        py_dataset_adapter.PyDatasetAdapter
        | generator_data_adapter.GeneratorDataAdapter,
    ):
        # TensorFlow loses the Python function that makes the batches.
        raise ValueError(
            "Several workers cannot train on a `PyDataset` or a generator. "
            "Pass arrays or a `tf.data.Dataset`. Received: training data "
            f"read by a {type(training).__name__}"
        )


def passes(dataset):
    """Goes through a data set over and over.

    Args:
        dataset: Iterable of batches.

    Yields:
        Pairs of a batch and a boolean tensor, whether it is the first of a
        pass.
    """
    is_empty = False
    while not is_empty:
        is_first = is_empty = True
        for batch in dataset:
            yield batch, ops.convert_to_tensor(is_first)
            is_first = is_empty = False


def to_cycles(num_batches, train_steps):
    """The cycles that hold `num_batches` training batches."""
    return None if num_batches is None else -(-num_batches // train_steps)


def split_validation(x, y, sample_weight, validation_split):
    """Splits arrays as `keras.Model.fit` does.

    Returns:
        A pair of the training and the validation triple.
    """
    return array_slicing.train_validation_split(
        (x, y, sample_weight), validation_split=validation_split
    )


def training_adapter(
    x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight
):
    """The Keras data adapter of the training data."""
    check_not_empty("x", x)
    return get_data_adapter(
        x,
        y=y,
        sample_weight=sample_weight,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        shuffle=shuffle and not is_tf_dataset(x) and not is_generator(x),
        class_weight=class_weight,
    )


def tuning_adapter(data, batch_size, shuffle, is_validation_data):
    """The Keras data adapter of the data that the hyperparameters learn from.

    Args:
        data: A tuple of arrays `(x, y)` or `(x, y, sample_weight)`, a
            `tf.data.Dataset`, `PyDataset` or generator.
        batch_size: Integer, for arrays.
        shuffle: Boolean, whether to shuffle arrays on every pass.
        is_validation_data: Boolean, whether `fit` evaluates on them as well.
    """
    if is_generator(data) and is_validation_data:
        raise ValueError(
            "`validation_data` is a generator, which can be read only once, "
            "but it is needed both for tuning and for validation. Pass "
            "arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`, or "
            "pass another generator as `tuning_data`."
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    check_not_empty(
        "validation_data" if is_validation_data else "tuning_data", x
    )
    size = num_examples(x)
    return get_data_adapter(
        x,
        y=y,
        sample_weight=sample_weight,
        batch_size=size and min(batch_size or 32, size),
        shuffle=shuffle and size is not None,
    )


def num_examples(x):
    """The number of examples of arrays, or `None` for other data."""
    leaves = keras.tree.flatten(x)
    if all(array_slicing.can_slice_array(leaf) for leaf in leaves):
        return (
            len(leaves[0])
            if hasattr(leaves[0], "__len__")
            else (leaves[0].shape[0])
        )
    return None


def check_not_empty(argument, x):
    """Raises a sentence if data are arrays without examples."""
    if num_examples(x) == 0:
        raise ValueError(
            f"`{argument}` is empty; pass at least one example. Received: "
            f"an array of shape {keras.tree.flatten(x)[0].shape}"
        )


def is_generator(x):
    return isinstance(x, types.GeneratorType)
