from keras import ops

from keras_stn.hyperparameters import hyperparameter
from keras_stn.hyperparameters.hyperparameter import HyperParameter
from keras_stn.hyperparameters.hyperparameter import check_range
from keras_stn.hyperparameters.hyperparameter import check_single
from keras_stn.hyperparameters.step import current_step
from keras_stn.hyperparameters.step import current_values


class TunableSmoothing:
    """Mixin for Keras's crossentropies: label smoothing that may be tuned.

    Args:
        *args: Arguments of the Keras loss.
        label_smoothing: Float, or a `Float` whose range lies between 0 and 1.
        **kwargs: Further arguments of the Keras loss.

    Raises:
        ValueError: If `label_smoothing` is out of range.
    """

    def __init__(self, *args, label_smoothing=0.0, **kwargs):
        smoothing = hyperparameter.get(label_smoothing)
        check_single("label_smoothing", smoothing)
        self.declarations = []
        if isinstance(smoothing, HyperParameter):
            self.declarations = [smoothing]
            check_range("label_smoothing", smoothing, 0.0, 1.0)
        elif not 0 <= smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be at least 0 and less than 1. "
                f"Received: label_smoothing={label_smoothing}"
            )
        # The Keras loss is left without smoothing: it takes one number.
        super().__init__(*args, **kwargs)
        self.label_smoothing = smoothing

    def smoothing_of(self, y_true):
        """How far the labels of each example are smoothed.

        Args:
            y_true: Tensor of shape `(batch_size, ...)`, the labels.

        Returns:
            `None` for labels as they are, a number, or a tensor of shape
            `(batch_size, 1, ...)` that broadcasts against `y_true`.
        """
        step = current_step()
        if step is not None and not step.is_training:
            return None
        if not isinstance(self.label_smoothing, HyperParameter):
            return self.label_smoothing or None
        rows = current_values(self.label_smoothing, y_true.dtype)
        size, groups = ops.shape(y_true)[0], ops.shape(rows)[0]
        copies = 1 if step is None else step.copies
        # Mixing has put copies of the batch behind each other.
        values = ops.tile(ops.repeat(rows, size // copies // groups), copies)
        return ops.reshape(values, (-1,) + (1,) * (len(y_true.shape) - 1))

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": hyperparameter.serialize(self.label_smoothing),
        }
