import contextlib
import warnings

import keras
from keras.src.utils import io_utils
from keras.src.utils import python_utils

from keras_stn import backend
from keras_stn.callbacks.backup_and_restore import BackupAndRestore
from keras_stn.models import callback_states
from keras_stn.models import training_state
from keras_stn.models.callback_states import CallbackStates
from keras_stn.models.fit_callbacks import TuningSchedule

VERSION = 1


class ResumableCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a `fit` that saves checkpoints and resumes from them.

    Where a checkpoint is found, Keras's `fit` runs through all epochs and
    steps up to its place, as in the run that was interrupted, but only reads
    the data: the `Alternation` gives empty cycles, `evaluate` computes
    nothing, and the callbacks hear nothing. So whatever makes up a place in
    the data (shuffles, generators, the hooks of a `PyDataset`, evaluations in
    between) is as it was. Then everything is restored, at the very point of
    the program where it was saved: after all callbacks have dealt with the
    end of the step or epoch.

    Args:
        callbacks: List of callbacks, a `TuningSchedule` and a
            `BackupAndRestore` among them.
        model: The `SelfTuningModel`.
        cycles: The `Alternation` of this call of `fit`.
        settings: Dictionary of what the place in the data depends on.
        **params: As in `keras.callbacks.CallbackList`.
    """

    def __init__(self, callbacks, model, cycles, settings, **params):
        super().__init__(callbacks, add_history=True, model=model, **params)
        # In another thread they would hear of a step after the checkpoint.
        self._async_train = self._async_test = self._async_predict = False
        self._backup = find_backup(self.callbacks)
        self._cycles = cycles
        self._settings = settings
        self._checkpoint = None
        self._values = None
        # Where training is: the epoch and step, and for the epochs that are
        # over the number of steps they had.
        self._first_epoch = None
        self._epoch = None
        self._steps = 0
        self._steps_of_epochs = []
        self._steps_since_saving = 0

    @property
    def is_replaying(self):
        """Whether data are only read, to come to the checkpoint's place."""
        return self._cycles.is_replaying

    def on_train_begin(self, logs=None):
        self._open()
        super().on_train_begin(logs)
        self._states = CallbackStates(self.callbacks)
        if self._checkpoint is None:
            return
        if self._is_over():
            self._restore(self._checkpoint["epoch"])
            # Keras's `fit` reads it now: there is no epoch left.
            self.model._initial_epoch = self.params["epochs"]
            return
        self._say(
            "Reads the data again, without training, up to "
            f"{place(self._checkpoint)}, where training resumes."
        )
        self._cycles.is_replaying = True
        self._all_callbacks = self.callbacks
        # Which tells the data where the warm-up ends.
        self.callbacks = [
            c for c in self.callbacks if isinstance(c, TuningSchedule)
        ]

    def _open(self):
        """Finds the checkpoint, before any callback changes anything."""
        found = self._backup.folder.open_and_read()
        if found is None:
            return
        self._values, self._checkpoint, damage = found
        check(
            self._checkpoint,
            self._settings,
            training_state.describe(self.model),
            self._backup.backup_dir,
        )
        if damage:
            warnings.warn(damage, stacklevel=2)
        callback_states.keep_rows(self.callbacks)

    def _is_over(self):
        """Whether the checkpoint is of the end of training."""
        saved = self._checkpoint
        is_last = (
            saved["epoch"] + (saved["step"] is None) >= (self.params["epochs"])
        )
        return is_last or (saved["step"] is None and saved["stop_training"])

    def on_epoch_begin(self, epoch, logs=None):
        if self._first_epoch is None:
            self._first_epoch = epoch
        self._epoch = epoch
        self._steps = 0
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self._steps_since_saving += batch + 1 - self._steps
        self._steps = batch + 1
        if self.is_replaying:
            saved = self._checkpoint
            if (self._epoch, self._steps) == (saved["epoch"], saved["step"]):
                self._resume()
                # Keras's `fit` makes the epoch's logs of those of its last
                # step, which this may be.
                logs.update(self._last_logs())
        elif self._backup.save_freq != "epoch":
            if self._steps_since_saving >= self._backup.save_freq:
                self._save(self._steps, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._steps_of_epochs.append(self._steps)
        if self.is_replaying:
            self._check_place()
            saved = self._checkpoint
            if (epoch, None) == (saved["epoch"], saved["step"]):
                self._resume()
            return
        is_last = epoch + 1 >= self.params["epochs"] or self.model.stop_training
        if self._backup.save_freq == "epoch" or is_last:
            self._save(None, logs)

    def on_train_end(self, logs=None):
        if self.is_replaying:
            self._check_place(is_end=True)
        if self._checkpoint is not None and self._is_over():
            self.model._initial_epoch = None
            logs = logs or self._last_logs()
        super().on_train_end(logs)
        self._backup.finish()

    def _check_place(self, is_end=False):
        """Raises a sentence if the data are fewer or more than they were."""
        saved = self._checkpoint
        expected = saved["steps_of_epochs"][: len(self._steps_of_epochs)]
        if (
            is_end
            or self._first_epoch != saved["first_epoch"]
            or self._steps_of_epochs != expected
        ):
            raise ValueError(
                "The training data or `initial_epoch` are not those of the "
                "run that was interrupted, so its place in them cannot be "
                "found. Pass the same, or another `backup_dir` to begin anew. "
                f"Received: epochs of {self._steps_of_epochs} steps from "
                f"epoch {self._first_epoch}, and a checkpoint of epochs of "
                f"{saved['steps_of_epochs']} steps from epoch "
                f"{saved['first_epoch']}, at {place(saved)}"
            )

    def _resume(self):
        """Ends the reading and restores everything."""
        saved = self._checkpoint
        self._cycles.is_replaying = False
        self.callbacks = self._all_callbacks
        if backend.checksum(self._cycles.latest) != saved["data"]:
            warnings.warn(
                "The data come in another order than in the run that was "
                "interrupted. Training goes on, but not as that run would "
                "have. Call `keras.utils.set_random_seed` at the beginning of "
                "the script, before the data are made, and let nothing draw "
                f"from an unseeded generator. Received: at {place(saved)}, "
                "another batch than then",
                stacklevel=2,
            )
        self._restore(self._epoch)
        self._say(f"Training resumes at {place(saved)}.")

    def _restore(self, epoch):
        saved = self._checkpoint
        # Callbacks prepare themselves, some by the model's state. What they
        # change of it they changed in the other run too, so it is restored
        # once more.
        training_state.assign(self.model, self._values)
        for callback in self.callbacks:
            is_bar = isinstance(callback, keras.callbacks.ProgbarLogger)
            if saved["step"] is not None or not is_bar:
                callback.on_epoch_begin(epoch)
        training_state.assign(self.model, self._values)
        self._states.restore(saved["callbacks"], self._arrays("callbacks"))
        self.model.stop_training = saved["stop_training"]
        self._steps_since_saving = 0
        self._values = {"logs": self._arrays("logs")}

    def _last_logs(self):
        """The logs that callbacks got before the checkpoint."""
        return callback_states.decode(
            self._checkpoint["logs"], self._values["logs"]
        )

    def _arrays(self, part):
        names = [name for name in self._values if name.startswith(f"{part}/")]
        return [self._values[f"{part}/{i}"] for i in range(len(names))]

    def _save(self, step, logs):
        """Saves a checkpoint, at the end of a step or of an epoch (`None`)."""
        self._steps_since_saving = 0
        states, arrays = self._states.read()
        values = training_state.read(self.model)
        values |= {f"callbacks/{i}": array for i, array in enumerate(arrays)}
        arrays = []
        logs = python_utils.pythonify_logs(logs or {})
        logs = {k: v for k, v in logs.items() if callback_states.is_plain(v)}
        logs = callback_states.encode(logs, arrays)
        values |= {f"logs/{i}": array for i, array in enumerate(arrays)}
        metadata = {
            "version": VERSION,
            "settings": self._settings,
            "variables": training_state.describe(self.model),
            "first_epoch": self._first_epoch,
            "epoch": self._epoch,
            "step": step,
            "steps_of_epochs": self._steps_of_epochs,
            "stop_training": bool(self.model.stop_training),
            "callbacks": states,
            "logs": logs,
            "data": backend.checksum(self._cycles.latest),
        }
        try:
            self._backup.folder.write(values, metadata)
        except OSError as error:
            warnings.warn(
                f"The checkpoint at {place(metadata)} could not be saved. "
                "Training goes on; if it is interrupted it resumes from an "
                "earlier checkpoint. See to it that there is space in "
                f"`backup_dir`. Received: {self._backup.backup_dir!r} "
                f"({error})",
                stacklevel=2,
            )

    def _say(self, message):
        if self.params.get("verbose"):
            io_utils.print_msg(message)


def resumable(callbacks, model, cycles, settings, **params):
    """Lets `fit` be resumed, if there is a `BackupAndRestore`.

    Args:
        callbacks: What `with_own_callbacks` returns.
        model: The `SelfTuningModel`.
        cycles: The `Alternation`.
        settings: Dictionary of arguments of `fit` that the place in the data
            depends on.
        **params: As in `keras.callbacks.CallbackList`.

    Returns:
        What Keras's `fit` takes as `callbacks`.
    """
    given = getattr(callbacks, "callbacks", callbacks)
    if find_backup(given) is None:
        return callbacks
    settings = {
        **settings,
        "hyperparameters": model.hyperparameters.names,
        "train_steps": model.train_steps,
        "tuning_steps": model.tuning_steps,
        "steps_per_execution": model.steps_per_execution,
        "steps_per_epoch": params["steps"] and int(params["steps"]),
    }
    return ResumableCallbacks(given, model, cycles, settings, **params)


@contextlib.contextmanager
def only_reading_if_replaying(model, callbacks):
    """Lets `evaluate` read its data and compute nothing, while replaying."""
    if not getattr(callbacks, "is_replaying", False):
        yield
        return

    def read(iterator):
        backend.read_out(iterator, model.steps_per_execution)
        return {}

    function = model.test_function
    model.test_function = read
    try:
        yield
    finally:
        model.test_function = function


def find_backup(callbacks):
    """The `BackupAndRestore` among callbacks, or `None`."""
    backups = [c for c in callbacks if isinstance(c, BackupAndRestore)]
    if len(backups) > 1:
        raise ValueError(
            "Pass one `BackupAndRestore` to `fit`; it keeps two generations "
            "of checkpoints by itself. Received: "
            f"{len(backups)} of them in `callbacks`"
        )
    return backups[0] if backups else None


def check(checkpoint, settings, variables, folder):
    """Raises a sentence if a checkpoint is not of this training."""
    saved = checkpoint["settings"]
    found = training_state.difference(checkpoint["variables"], variables)
    if checkpoint["version"] > VERSION:
        found = "a newer version of keras_stn wrote it"
    for name, value in settings.items():
        if saved.get(name) != value:
            found = (
                f"{name}={saved.get(name)!r} in the checkpoint, {value!r} now"
            )
    if found:
        raise ValueError(
            "`backup_dir` holds the checkpoint of another training, which "
            "this one cannot resume. To begin anew, name another folder or "
            "delete that one; to resume, run the script that made it. "
            f"Received: backup_dir={folder!r}; {found}"
        )


def place(checkpoint):
    """Where a checkpoint is, in words that count from 1."""
    if checkpoint["step"] is None:
        return f"the end of epoch {checkpoint['epoch'] + 1}"
    return f"epoch {checkpoint['epoch'] + 1}, step {checkpoint['step']}"
