"""Callbacks that `fit` adds to the user's."""

import math
import warnings

import keras
import numpy as np
from keras import ops

from keras_stn import backend
from keras_stn.callbacks.progress_logger import ProgressLogger
from keras_stn.callbacks.progress_logger import to_number
from keras_stn.models.rate_plan import planned_rate


class TuningSchedule(keras.callbacks.Callback):
    """Lets the tuning steps begin after the warm-up, at the planned rate.

    And lets stateful layers begin each epoch from zero, with the data.

    Args:
        alternation: The `Alternation` of this call of `fit`.
        warmup_epochs: Integer, the epochs of training steps alone.
        initial_epoch: As in `keras.Model.fit`.
        last_epoch: Integer, the epoch at which the plan ends.
    """

    def __init__(self, alternation, warmup_epochs, initial_epoch, last_epoch):
        super().__init__()
        self._alternation = alternation
        self.warmup_epochs = warmup_epochs
        # The plan is of the whole training, also where Keras resumes one in
        # the middle.
        self._first_epoch = max(initial_epoch, warmup_epochs)
        self.last_epoch = last_epoch
        self._cycles = None

    def on_epoch_begin(self, epoch, logs=None):
        self._alternation.is_tuning = epoch >= self.warmup_epochs
        self.model.streams.reset("training")
        self._set_rates(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self._cycles = batch + 1

    def _set_rates(self, epoch):
        optimizers = self.model.planned_optimizers
        if not optimizers:
            return
        epochs = max(self.last_epoch - self._first_epoch, 1)
        # Some data do not tell how many there are before they end, and a
        # `CallbackList` that is given to `fit` may have no parameters.
        cycles = self.params.get("steps") or self._cycles
        tuning_steps = cycles and cycles * self.model.tuning_steps * epochs
        # The middle of the epoch.
        share = (max(epoch - self._first_epoch, 0) + 0.5) / epochs
        for optimizer in optimizers:
            optimizer.learning_rate = planned_rate(tuning_steps, share)


class SkippedSteps(keras.callbacks.Callback):
    """Warns once when tuning steps were skipped."""

    def on_epoch_end(self, epoch, logs=None):
        skipped = float((logs or {}).get("skipped_tuning_steps", 0))
        if skipped and not getattr(self.model, "_warned_of_skipped", False):
            self.model._warned_of_skipped = True
            warnings.warn(
                f"In epoch {epoch + 1}, {skipped:.0f} tuning steps had a loss "
                "or gradient that was not finite. They changed nothing; "
                "`skipped_tuning_steps` in the logs counts them. If they go "
                "on, lower the learning rate of `optimizer`.",
                stacklevel=2,
            )


class FinalAverages(keras.callbacks.Callback):
    """Ends training at the averages that the hyperparameters' optimizers keep.

    As Keras does with the weights, if their optimizer has `use_ema=True`.
    """

    def on_train_end(self, logs=None):
        model, space = self.model, self.model.hyperparameters
        for optimizer, variable in (
            (model.hyper_optimizer, space.location),
            (model.scale_optimizer, space.raw_scale),
        ):
            # Before the first step the averages are zeros.
            if optimizer.use_ema and to_number(optimizer.iterations):
                optimizer.finalize_variable_values([variable])
                # Averages are taken before a tuning step clips.
                space.location.assign(space.clip(space.location))


class LocationTrack(keras.callbacks.Callback):
    """Notes where the hyperparameters are, for the `TuningReport`.

    Args:
        alternation: The `Alternation` of this call of `fit`.

    Attributes:
        locations: Array of shape `(epochs + 1, n)`: the unconstrained values
            before the first epoch and at the end of each; `None` before.
        epochs: List of integers, the epochs that have ended.
        is_tuned: List of booleans, whether these epochs tuned.
    """

    def __init__(self, alternation):
        super().__init__()
        self._alternation = alternation
        self.locations = None
        self.epochs = []
        self.is_tuned = []

    def on_epoch_begin(self, epoch, logs=None):
        # Where a training resumes, what it noted before replaces this.
        if self.locations is None:
            self.locations = self.read()[None]

    def on_epoch_end(self, epoch, logs=None):
        self.locations = np.vstack([self.locations, self.read()])
        self.epochs.append(epoch)
        self.is_tuned.append(self._alternation.is_tuning)

    def read(self):
        """Where the hyperparameters are, an array of shape `(n,)`."""
        # A tensor, of which NumPy makes an array without a warning.
        (location,) = backend.read_all([self.model.hyperparameters.location])
        return ops.convert_to_numpy(location)


def check_monitors(callbacks, warmup_epochs):
    """Raises a sentence about a callback that the warm-up would mislead.

    Args:
        callbacks: List of Keras callbacks.
        warmup_epochs: Integer, the epochs whose `tuning_loss` is NaN.

    Raises:
        ValueError: If a callback takes a NaN for the best `tuning_loss`,
            which no later one could improve on.
    """
    for callback in callbacks:
        if (
            getattr(callback, "monitor", None) == "tuning_loss"
            # Whether it looks for the best, and has no bound to begin with.
            and getattr(callback, "best", math.inf) is None
            and getattr(callback, "save_best_only", True)
            and getattr(callback, "start_from_epoch", 0) < warmup_epochs
        ):
            raise ValueError(
                "During `warmup_epochs` there is no `tuning_loss`, and "
                f"`{type(callback).__name__}` would take its NaN for the "
                "best. Pass it `start_from_epoch=warmup_epochs` if it is an "
                "`EarlyStopping`, `initial_value_threshold=math.inf` if it "
                "saves the model, or let it monitor 'val_loss'. Received: "
                f"warmup_epochs={warmup_epochs}, monitor='tuning_loss'"
            )


def with_own_callbacks(callbacks, verbose, schedule, track):
    """The user's callbacks, behind those that every `fit` needs.

    Args:
        callbacks: As in `keras.Model.fit`.
        verbose: As in `keras.Model.fit`.
        schedule: The `TuningSchedule`.
        track: The `LocationTrack`.

    Returns:
        What Keras's `fit` takes as `callbacks`.
    """
    own = [schedule, track, SkippedSteps(), FinalAverages()]
    if isinstance(callbacks, keras.callbacks.CallbackList):
        given = callbacks.callbacks
        check_monitors(given, schedule.warmup_epochs)
        # Keras takes the list as it is, with what the last `fit` added.
        kinds = tuple(map(type, own))
        given[:] = own + [c for c in given if not isinstance(c, kinds)]
        for callback in own:
            callback.set_model(callbacks.model)
            callback.set_params(callbacks.params)
        return callbacks
    callbacks = own + [
        callback
        for callback in keras.tree.flatten(callbacks)
        if callback is not None
    ]
    check_monitors(callbacks, schedule.warmup_epochs)
    if verbose and not any(
        isinstance(c, keras.callbacks.ProgbarLogger) for c in callbacks
    ):
        callbacks.append(ProgressLogger())
    return callbacks
