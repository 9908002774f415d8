import keras

from keras_stn.losses.tunable_smoothing import TunableSmoothing


@keras.saving.register_keras_serializable(package="keras_stn")
class BinaryCrossentropy(TunableSmoothing, keras.losses.BinaryCrossentropy):
    """Crossentropy with labels 0 and 1 whose smoothing may be tuned.

    Label smoothing draws the labels towards 0.5. Inside a `SelfTuningModel`
    it is for training only: the losses of tuning steps and evaluation measure
    the fit to the true labels, with a number as with a `Float`. Each group of
    examples has the smoothing of its own perturbation.

    Args:
        from_logits: Boolean, whether predictions are logits.
        label_smoothing: Float from 0 to less than 1, or a `Float` whose range
            lies there. Labels become `label_smoothing / 2` and
            `1 - label_smoothing / 2`.
        axis: Integer, the axis along which the mean is taken.
        reduction: As in `keras.losses.BinaryCrossentropy`.
        name: String, the loss's name.
        dtype: The dtype of the loss's computations.

    Call arguments:
        y_true: Labels, 0 or 1.
        y_pred: Predictions.
        sample_weight: Weights of the examples.

    Input shape:
        `(batch_size, ...)`, labels and predictions.

    Output shape:
        A scalar, or the input's shape without `axis` if nothing is reduced.

    Raises:
        ValueError: If `label_smoothing` or its range is out of range.

    Example:

    >>> import keras_stn as stn
    >>> smoothing = stn.Float("label_smoothing", 0.0, 0.5, default=0.05)
    >>> loss = stn.losses.BinaryCrossentropy(label_smoothing=smoothing)

    Reference:
        [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
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
            y_true = y_true * (1 - smoothing) + 0.5 * smoothing
        return super().call(y_true, y_pred)
