import keras

from keras_stn.losses.tunable_smoothing import TunableSmoothing


@keras.saving.register_keras_serializable(package="keras_stn")
class CategoricalCrossentropy(
    TunableSmoothing, keras.losses.CategoricalCrossentropy
):
    """Crossentropy with one-hot labels whose smoothing may be tuned.

    Label smoothing mixes a label with the uniform distribution. Inside a
    `SelfTuningModel` it is for training only: the losses of tuning steps and
    evaluation measure the fit to the true labels, with a number as with a
    `Float`. Each group of examples has the smoothing of its own perturbation.

    Args:
        from_logits: Boolean, whether predictions are logits.
        label_smoothing: Float from 0 to less than 1, or a `Float` whose range
            lies there. The share of a label that goes to all classes alike.
        axis: Integer, the axis of the classes.
        reduction: As in `keras.losses.CategoricalCrossentropy`.
        name: String, the loss's name.
        dtype: The dtype of the loss's computations.

    Call arguments:
        y_true: One-hot labels, or probabilities.
        y_pred: Predictions.
        sample_weight: Weights of the examples.

    Input shape:
        `(batch_size, ..., num_classes)`, labels and predictions.

    Output shape:
        A scalar, or `(batch_size, ...)` without reduction.

    Raises:
        ValueError: If `label_smoothing` or its range is out of range.

    Example:

    >>> import keras_stn as stn
    >>> smoothing = stn.Float("label_smoothing", 0.0, 0.5, default=0.05)
    >>> loss = stn.losses.CategoricalCrossentropy(label_smoothing=smoothing)

    Reference:
        [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )

    def call(self, y_true, y_pred):
        smoothing = self.smoothing_of(y_true)
        if smoothing is not None:
            uniform = 1 / y_true.shape[self.axis]
            y_true = y_true * (1 - smoothing) + smoothing * uniform
        return super().call(y_true, y_pred)
