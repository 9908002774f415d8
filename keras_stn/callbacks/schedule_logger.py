import os
import time
import warnings

import keras
import numpy as np
from keras import ops

from keras_stn import backend
from keras_stn.callbacks.progress_logger import to_number
from keras_stn.callbacks.update_frequency import UpdateFrequency
from keras_stn.hyperparameters.space import HyperparameterSpace
from keras_stn.schedules.no_file import NoFile
from keras_stn.schedules.schedule_file import ScheduleFile
from keras_stn.schedules.state_reader import StateReader


class ScheduleLogger(keras.callbacks.Callback):
    """Writes the schedule of every hyperparameter to a file.

    The file has a row for the start and for every epoch, or for more steps.
    Its columns are

    - `step`, the weight updates done so far,
    - `epoch`, counted from zero,
    - `wall_time`, in seconds since 1970,
    - the losses and metrics in the logs, and what other callbacks that come
      before this one add to them, such as the learning rate,
    - `entropy`, that of the perturbation,
    - and for each hyperparameter `NAME` its value, `NAME_scale`, and the
      values one scale below and above, `NAME_lower` and `NAME_upper`.

    The row of a step holds the values in force from that step on: the first
    row, of step 0, the starting values, and no losses. The last row of an
    epoch holds the validation's losses and metrics as well. A cell is empty
    where there is no number or one that is not finite. Reading a cell as
    float32 gives the number of the model, bit for bit.

    When training is resumed, the file goes on: rows of later steps than the
    one that the model was restored to are dropped, and so is a row that was
    torn by the crash. A model at step 0 overwrites the file.

    Where several workers train together, the first of them writes the file.

    If the file cannot be written when training begins, that is an error. If
    it cannot be later, say because the disk is full, there is a warning, and
    training goes on.

    Args:
        path: String or `PathLike`, a file that ends in `.csv` or `.jsonl`.
            Missing folders are made.
        freq: `"epoch"`, `"batch"` or a positive integer N, when to write
            beside the start and the end of each epoch: never, after every
            step of `fit`, or after every N-th of an epoch. A step of a
            `SelfTuningModel` is a cycle of `train_steps` weight updates. If
            the model is compiled with `steps_per_execution`, a row is written
            after those executions that pass another N-th step.

    Raises:
        ValueError: If an argument is not one of these; from `fit`, if the
            model is no `SelfTuningModel`, a hyperparameter has the name of
            another column, or the file holds another model's schedule.
        OSError: From `fit`, if the file cannot be written at the start.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> model = stn.SelfTuningModel(
    ...     keras.Sequential([
    ...         keras.Input((2,)),
    ...         stn.layers.Dropout(stn.Float("rate", 0.0, 1.0, default=0.5)),
    ...         stn.layers.HyperDense(1),
    ...     ])
    ... )
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(
    ...     np.ones((8, 2)),
    ...     np.ones((8, 1)),
    ...     validation_split=0.5,
    ...     callbacks=[stn.callbacks.ScheduleLogger("schedule.csv")],
    ...     verbose=0,
    ... )
    >>> import csv
    >>> with open("schedule.csv", newline="") as file:
    ...     rows = list(csv.DictReader(file))
    >>> [(row["step"], row["epoch"]) for row in rows]
    [('0', '0'), ('1', '0')]
    >>> rows[0]["rate"], rows[0]["loss"]
    ('0.5', '')
    """

    def __init__(self, path, freq="epoch"):
        super().__init__()
        self.path = os.fspath(path)
        self.freq = freq
        self._frequency = UpdateFrequency("freq", freq)
        self._file = ScheduleFile(self.path)
        # Keras need not wait for each batch to call what then does nothing.
        self.async_safe = self._frequency.is_epoch

    def on_train_begin(self, logs=None):
        check_model(self)
        if not backend.is_chief(self.model.distribute_strategy):
            self._file = NoFile()
        self._read = StateReader(self.model)
        self._has_begun = False
        self._has_warned = False
        check_columns(
            ["step", "epoch", "wall_time", "entropy", *self._read.columns],
            self.model.get_metrics_result(),
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if not self._has_begun:
            # Not when training begins: another callback may restore weights
            # then.
            self._has_begun = True
            self._begin()

    def on_train_batch_end(self, batch, logs=None):
        if self._frequency.is_due(batch, self.model.steps_per_execution):
            self._try_to_write(logs or {})

    def on_epoch_end(self, epoch, logs=None):
        self._try_to_write(logs or {}, sync=True)

    def on_train_end(self, logs=None):
        self._read = None

    def _begin(self):
        step = self._read()["step"]
        try:
            self._file.begin(
                [
                    *("step", "epoch", "wall_time"),
                    *self._metrics(),
                    *("entropy", *self._read.columns),
                ],
                step,
            )
            if self._file.last_step != step:
                self._file.write(self._row({}))
            self._file.sync()
        except OSError as error:
            raise OSError(
                error.errno,
                "The schedule cannot be written. Give the callback a path in "
                "a folder that exists or can be made, on a disk with space. "
                f"Received: path={self.path!r}. The reason: {error.strerror}",
            ) from error

    def _metrics(self):
        """The logs that are known before the first step."""
        logs = {**self.model.get_metrics_result(), **self.model.tuning_logs()}
        return [name for name in logs if name not in self._read.columns]

    def _row(self, logs):
        state = self._read()
        row = {
            "step": state.pop("step"),
            "epoch": self._epoch,
            "wall_time": round(time.time(), 3),
        }
        taken = row | state
        numbers = {
            name: to_number(value)
            for name, value in logs.items()
            if name not in taken and is_number(value)
        }
        return row | numbers | state

    def _try_to_write(self, logs, sync=False):
        row = self._row(logs)
        try:
            self._file.write(row)
            if sync:
                self._file.sync()
        except (OSError, ValueError) as error:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    "The schedule could not be written and will lack rows; "
                    "training goes on. Make space if the disk is full. "
                    f"Received: path={self.path!r}. The reason: {error}",
                    stacklevel=2,
                )


def is_number(value):
    """Whether an entry of the logs is one number, or a tensor of one."""
    if isinstance(value, float):
        return True
    array = np.asarray(ops.convert_to_numpy(value))
    return array.ndim == 0 and array.dtype.kind in "fiub"


def check_model(callback):
    """Raises a sentence if the model has no hyperparameters to log."""
    model = callback.model
    space = getattr(model, "hyperparameters", None)
    if not isinstance(space, HyperparameterSpace):
        raise ValueError(
            f"`{type(callback).__name__}` logs the hyperparameters of a "
            "`keras_stn.SelfTuningModel`. For another model take "
            "`keras.callbacks.CSVLogger` or `keras.callbacks.TensorBoard`. "
            f"Received: a model of the class `{type(model).__name__}`"
        )


def check_columns(others, columns):
    """Raises a sentence if two columns of the schedule have one name."""
    names = [*others, *columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            "Two columns of the schedule would have the same name. Give the "
            "hyperparameter or the metric another name. Each hyperparameter "
            "NAME also has the columns NAME_scale, NAME_lower and "
            f"NAME_upper. Received twice: {twice}"
        )
