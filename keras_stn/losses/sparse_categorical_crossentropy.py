import keras
from keras import ops
from keras.src.backend import get_keras_mask
from keras.src.backend import set_keras_mask

from keras_stn.losses.tunable_smoothing import TunableSmoothing


@keras.saving.register_keras_serializable(package="keras_stn")
class SparseCategoricalCrossentropy(
    TunableSmoothing, keras.losses.SparseCategoricalCrossentropy
):
    """Crossentropy with integer labels, and with label smoothing.

    Keras's loss of this name has no smoothing; this one smooths as
    `CategoricalCrossentropy` does, and like it in training only. Each group
    of examples has the smoothing of its own perturbation.

    Args:
        from_logits: Boolean, whether predictions are logits.
        ignore_class: Integer, a label whose places do not count.
        reduction: As in `keras.losses.SparseCategoricalCrossentropy`.
        axis: Integer, the axis of the classes.
        name: String, the loss's name.
        dtype: The dtype of the loss's computations.
        label_smoothing: Float from 0 to less than 1, or a `Float` whose range
            lies there. The share of a label that goes to all classes alike.

    Call arguments:
        y_true: Integer labels.
        y_pred: Predictions.
        sample_weight: Weights of the examples.

    Input shape:
        `(batch_size, ...)` for labels, `(batch_size, ..., num_classes)` for
        predictions.

    Output shape:
        A scalar, or `(batch_size, ...)` without reduction.

    Raises:
        ValueError: If `label_smoothing` or its range is out of range.

    Example:

    >>> import keras_stn as stn
    >>> smoothing = stn.Float("label_smoothing", 0.0, 0.5, default=0.05)
    >>> loss = stn.losses.SparseCategoricalCrossentropy(
    ...     from_logits=True, label_smoothing=smoothing
    ... )

    Reference:
        [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
        label_smoothing=0.0,
    ):
        super().__init__(
            from_logits=from_logits,
            ignore_class=ignore_class,
            reduction=reduction,
            axis=axis,
            name=name,
            dtype=dtype,
            label_smoothing=label_smoothing,
        )
        self.axis = axis

    def call(self, y_true, y_pred):
        losses = super().call(y_true, y_pred)
        smoothing = self.smoothing_of(losses)
        if smoothing is None:
            return losses
        # The crossentropy is linear in the labels.
        classes = y_pred.shape[self.axis]
        uniform = ops.categorical_crossentropy(
            ops.full_like(y_pred, 1 / classes),
            y_pred,
            from_logits=self.from_logits,
            axis=self.axis,
        )
        mask = get_keras_mask(losses)
        if mask is not None:
            uniform = ops.where(mask, uniform, 0)
        smoothed = losses + smoothing * (uniform - losses)
        if mask is not None:
            set_keras_mask(smoothed, mask)
        return smoothed

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
