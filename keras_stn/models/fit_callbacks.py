"""Callbacks that `fit` adds to the user's."""

import warnings

import keras

from keras_stn.callbacks.progress_logger import ProgressLogger


class TuningSchedule(keras.callbacks.Callback):
    """Lets the tuning steps begin after the warm-up.

    And lets stateful layers begin each epoch from zero, with the data.

    Args:
        alternation: The `Alternation` of this call of `fit`.
        warmup_epochs: Integer, the epochs of training steps alone.
    """

    def __init__(self, alternation, warmup_epochs):
        super().__init__()
        self._alternation = alternation
        self._warmup_epochs = warmup_epochs

    def on_epoch_begin(self, epoch, logs=None):
        self._alternation.is_tuning = epoch >= self._warmup_epochs
        self.model.streams.reset("training")


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


def with_own_callbacks(callbacks, verbose, schedule):
    """The user's callbacks, behind those that every `fit` needs.

    Args:
        callbacks: As in `keras.Model.fit`.
        verbose: As in `keras.Model.fit`.
        schedule: The `TuningSchedule`.

    Returns:
        What Keras's `fit` takes as `callbacks`.
    """
    own = [schedule, SkippedSteps()]
    if isinstance(callbacks, keras.callbacks.CallbackList):
        for callback in own:
            callbacks.append(callback)
        return callbacks
    callbacks = own + [
        callback
        for callback in keras.tree.flatten(callbacks)
        if callback is not None
    ]
    if verbose and not any(
        isinstance(c, keras.callbacks.ProgbarLogger) for c in callbacks
    ):
        callbacks.append(ProgressLogger())
    return callbacks
