"""The training loss of examples that layers have mixed.

An example that is made of others has a share of the label of each. The loss
is the sum of the losses with each of these labels, weighted by the shares. It
needs no knowledge of the loss and works for labels of any kind.
"""

import keras
from keras import ops
from keras.src.backend import get_keras_mask
from keras.src.backend import set_keras_mask

# Their sum is divided by the number of examples, with all copies.
MEANS = ("sum_over_batch_size", "mean")


def components(mixes, size):
    """Of which examples of the batch each mixed one is made.

    Args:
        mixes: List of `LabelMix`, in the order in which they were applied.
        size: Integer or scalar tensor, the size of the batch.

    Returns:
        List of pairs of indices and shares, tensors of shape `(size,)`. The
        shares of all pairs add up to 1.
    """
    outcome = [(ops.arange(size), ops.ones((size,)))]
    for partners, weights in mixes:
        outcome = [
            *((indices, weights * shares) for indices, shares in outcome),
            *(
                (
                    ops.take(indices, partners, axis=0),
                    (1 - weights) * ops.take(shares, partners, axis=0),
                )
                for indices, shares in outcome
            ),
        ]
    return outcome


def mix_labels(mixes, y, y_pred, sample_weight, loss):
    """What to compute the loss of, such that it is that of the mixed labels.

    Args:
        mixes: List of `LabelMix`, in the order in which they were applied.
        y: Labels, a tensor or nested structure.
        y_pred: Predictions, a tensor or nested structure.
        sample_weight: Weights of the examples or `None`. Each label brings
            the weight of the example it is from.
        loss: What the model was compiled with.

    Returns:
        Tuple of labels, predictions and weights, each with a copy of the
        batch for every component behind each other, and the number of copies.

    Raises:
        ValueError: If some of the losses are means and others are sums.
    """
    size = ops.shape(keras.tree.flatten(y_pred)[0])[0]
    parts = components(mixes, size)
    factor = len(parts) if is_mean(loss) else 1.0

    def weighted(weight):
        return ops.concatenate(
            [
                ops.take(ops.cast(weight, "float32"), indices, axis=0)
                * expand(factor * shares, len(weight.shape))
                for indices, shares in parts
            ]
        )

    def stack_predictions(tensor):
        stacked = ops.concatenate([tensor] * len(parts))
        mask = get_keras_mask(tensor)
        if mask is not None:
            set_keras_mask(stacked, ops.concatenate([mask] * len(parts)))
        return stacked

    def stack_labels(tensor):
        return ops.concatenate(
            [ops.take(tensor, indices, axis=0) for indices, _ in parts]
        )

    if sample_weight is None:
        ones = keras.tree.map_structure(
            lambda p: expand(ops.ones((size,)), max(1, len(p.shape) - 1)),
            y_pred,
        )
        flat = keras.tree.flatten(ones)
        # One weight for all outputs spares Keras finding each one's.
        one_for_all = all(len(leaf.shape) == 1 for leaf in flat)
        sample_weight = flat[0] if one_for_all else ones
    return (
        map_tensors(stack_labels, y),
        map_tensors(stack_predictions, y_pred),
        map_tensors(weighted, sample_weight),
        len(parts),
    )


def is_mean(loss):
    """Whether the losses are means over the examples, or sums."""
    means = {
        getattr(one, "reduction", "sum_over_batch_size") in MEANS
        for one in keras.tree.flatten(loss)
        if one is not None
    }
    if len(means) > 1:
        raise ValueError(
            "Layers that mix examples need losses that are all means over "
            "the batch or all sums. Give them the same `reduction`. "
            f"Received: loss={loss}"
        )
    return True in means


def expand(tensor, rank):
    """Gives a tensor of shape `(n,)` the shape `(n, 1, ...)`."""
    return ops.reshape(tensor, (-1,) + (1,) * (rank - 1))


def map_tensors(function, structure):
    return keras.tree.map_structure(
        lambda leaf: leaf if leaf is None else function(leaf), structure
    )
