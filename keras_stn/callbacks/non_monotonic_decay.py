import math
import warnings

import keras
import numpy as np

from keras_stn.callbacks.progress_logger import to_number


class NonMonotonicDecay(keras.callbacks.Callback):
    """Lowers the learning rate when a loss is no better than some time ago.

    After each epoch its loss is compared with the best one of the earlier
    epochs, the last `patience` of them left out. If it is higher, the learning
    rate is divided by `factor`:

        if len(losses) > patience and loss > min(losses[:-patience]):
            learning_rate /= factor
        losses.append(loss)

    A loss that rises for a short while is forgiven; while it stays high, the
    learning rate falls epoch after epoch. The criterion is that by which
    AWD-LSTM, a language model, begins to average its weights; with these
    defaults it decays the learning rate as for the LSTM of MacKay et al. Use
    `keras.callbacks.ReduceLROnPlateau` to wait anew after each reduction.

    Args:
        monitor: String, the quantity to watch, which is to become smaller.
        patience: Integer, the number of epochs between the one that has
            ended and the latest that it is compared with.
        factor: Float greater than 1, by which the learning rate is divided.
        min_lr: Float, lower bound on the learning rate.
        verbose: Integer. 0: quiet, 1: update messages.
        stop_lr: Float, or `None`. Training stops once the learning rate is
            less than this.

    Raises:
        ValueError: If `patience`, `factor` or `stop_lr` is out of range.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(30.0), loss="mse")
    >>> data = np.ones((8, 2)), np.ones((8, 1))
    >>> decay = stn.callbacks.NonMonotonicDecay(stop_lr=3e-4)
    >>> history = model.fit(
    ...     *data, validation_data=data, callbacks=[decay], verbose=0
    ... )
    >>> history.history["learning_rate"]
    [30.0]

    Reference:
        [Merity et al., 2018](https://arxiv.org/abs/1708.02182),
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088)
    """

    def __init__(
        self,
        monitor="val_loss",
        patience=5,
        factor=4.0,
        min_lr=0.0,
        verbose=0,
        stop_lr=None,
    ):
        super().__init__()
        if patience < 1:
            raise ValueError(
                f"`patience` must be at least 1. Received: patience={patience}"
            )
        if factor <= 1:
            raise ValueError(
                "`factor` must be greater than 1: the learning rate is "
                f"divided by it. Received: factor={factor}"
            )
        if stop_lr is not None and stop_lr <= min_lr:
            raise ValueError(
                "`stop_lr` must be greater than `min_lr`, or the learning "
                "rate never gets below it. "
                f"Received: stop_lr={stop_lr}, min_lr={min_lr}"
            )
        self.monitor = monitor
        self.patience = patience
        self.factor = factor
        self.min_lr = min_lr
        self.verbose = verbose
        self.stop_lr = stop_lr
        self.losses = []

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        optimizers = self._optimizers()
        for name, optimizer in optimizers:
            logs[name] = to_number(optimizer.learning_rate)
        loss = logs.get(self.monitor)
        if loss is None:
            warnings.warn(
                f"The learning rate depends on `{self.monitor}`, which is "
                f"not available. Available are: {', '.join(logs)}.",
                stacklevel=2,
            )
            return
        loss = to_number(loss)
        if math.isnan(loss):
            # Worse than any number, as in `ReduceLROnPlateau`; a NaN would
            # make every later comparison false.
            loss = math.inf
        earlier = self.losses[: -self.patience]
        if earlier and loss > min(earlier):
            for name, optimizer in optimizers:
                self._decay(epoch, name, optimizer)
        self.losses.append(loss)
        if self.stop_lr is not None and all(
            to_number(optimizer.learning_rate) < self.stop_lr
            for _, optimizer in optimizers
        ):
            self.model.stop_training = True

    def _decay(self, epoch, name, optimizer):
        old = to_number(optimizer.learning_rate)
        # The optimizer keeps float32: its number may be just above `min_lr`.
        if old <= float(np.float32(self.min_lr)):
            return
        new = max(old / self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: {name} lowered to {new:.4g}.")

    def _optimizers(self):
        """Pairs of a learning rate's name in the logs and its optimizer."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.MultiOptimizer):
            # Not a dictionary: optimizers may have the same name.
            return [
                (f"learning_rate_{each.name}", each)
                for each in optimizer.optimizers
            ]
        return [("learning_rate", optimizer)]
