"""Which part of a batch a replica of a strategy has.

What is drawn for an example, or for a group of examples, must not depend on
how many replicas share the batch. So each has to know where its part begins.
"""

import contextvars
import math

import keras
from keras import ops

from keras_stn import backend
from keras_stn.hyperparameters.divisor import largest_divisor
from keras_stn.hyperparameters.step import held

_PART = contextvars.ContextVar("batch_part", default=None)


class BatchPart:
    """The examples that this replica has of a batch.

    A group of examples that share a perturbation may lie on two replicas. So
    a part counts its rows of hyperparameters by blocks: as many consecutive
    examples as surely are of one group, on every replica.

    Args:
        size: Integer, how many examples the replica has.
        sizes: Tuple of integers, how many each replica has; or of one where
            all have as many.
        limit: Integer, at most how many groups the whole batch has, or
            `None` for one an example.

    Attributes:
        size: As the argument.
        first: Integer or scalar tensor, how many examples come before them.
        weight: Float, its share of the batch, as a multiple of an even one.
        groups: Integer, the groups of the whole batch.
        num_rows: Integer, the rows of hyperparameters of this part.
    """

    def __init__(self, size, sizes, limit):
        _, replicas = backend.replica()
        self.size = size
        self.first, total = backend.place_in_batch(size, sizes)
        self.weight = size * replicas / total
        self.groups = largest_divisor(total, limit or total)
        self._group_size = total // self.groups
        self._block = math.gcd(self._group_size, *sizes)
        self.num_rows = max(1, size // self._block)

    @property
    def has_whole_groups(self):
        """Whether no group lies on two replicas."""
        return self._block == self._group_size

    @property
    def first_group(self):
        """The group of the first example, an integer or scalar tensor."""
        return self.first // self._group_size

    def weigh(self, predictions):
        """Weighs a replica's mean loss by how many examples it is of.

        The sum of the replicas' gradients is then that of the mean over all
        examples. The predictions stay as they are, and so does the loss, for
        the logs weigh it anyway; only the gradients pass here differently.

        Args:
            predictions: Nested structure of tensors.

        Returns:
            The same structure.
        """
        if self.weight == 1:
            return predictions
        more = self.weight - 1
        return keras.tree.map_structure(
            lambda y: y + ops.cast(more, y.dtype) * (y - ops.stop_gradient(y)),
            predictions,
        )

    def group_indices(self):
        """The group of each row, of shape `(num_rows,)`."""
        starts = self.first + self._block * ops.arange(self.num_rows)
        return ops.minimum(starts // self._group_size, self.groups - 1)


def current_part():
    """The `BatchPart` that is being computed, or `None`."""
    return _PART.get()


def entered_part(part):
    """Makes `part` the current one."""
    return held(_PART, part)
