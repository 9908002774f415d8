import math
import os
import time

import keras

from keras_stn import backend
from keras_stn.callbacks.progress_logger import to_number
from keras_stn.models.checks import is_count
from keras_stn.plotting.bounds import with_bounds
from keras_stn.plotting.notebook_picture import NotebookPicture
from keras_stn.plotting.picture_file import PictureFile
from keras_stn.plotting.plot_schedule import plot_schedule
from keras_stn.plotting.plot_schedule import require_matplotlib
from keras_stn.schedules.records import read_records

# With `freq="auto"`, drawing may take this share of the time.
SHARE = 0.05


class SchedulePlot(keras.callbacks.Callback):
    """Draws the schedule of every hyperparameter while a model trains.

    The picture is that of `keras_stn.plot_schedule`: hyperparameters of a
    kind in one panel, the losses above them. It is drawn at the ends of
    epochs, into a file that is always whole, since a new one takes its place
    at once; or without a path in a notebook, where it is renewed in place
    below the cell.

    The picture begins with the values before the first epoch. It goes on when
    `fit` is called again with `initial_epoch`. A new process that resumes a
    training knows nothing of earlier epochs: pass the file of a
    `ScheduleLogger` as `source` to draw all that it holds. Where several
    workers train together, the first of them draws.

    If the picture cannot be written when training begins, that is an error.
    If it cannot be later, say because the disk is full, there is a warning,
    and training goes on.

    Args:
        path: String or `PathLike`, a file that ends in `.png`, `.svg` or
            `.pdf`. Missing folders are made. If `None`, the picture is shown
            in the notebook.
        freq: `"auto"`, or a positive integer N to draw after every N-th
            epoch. With `"auto"`, at most every epoch, and more rarely where
            drawing would take more than a twentieth of the time. The end of
            training is always drawn.
        source: String or `PathLike`, the file of a `ScheduleLogger` that
            comes before this one in the list of callbacks; or `None` to draw
            what the logs hold at the ends of epochs.
        groups: As in `keras_stn.plot_schedule`.
        metrics: As in `keras_stn.plot_schedule`.

    Raises:
        ValueError: If an argument is not one of these; from `fit`, if the
            model is no `SelfTuningModel` and there is no `source`.
        ImportError: If matplotlib is not installed, or no IPython and no
            path is given.
        FileNotFoundError: From `fit`, if nothing writes the `source`.
        OSError: From `fit`, if the picture cannot be written.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_stn as stn
    >>> model = stn.SelfTuningModel(
    ...     keras.Sequential([
    ...         keras.Input((2,)),
    ...         stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9)),
    ...         stn.layers.HyperDense(1),
    ...     ])
    ... )
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(
    ...     np.ones((8, 2)),
    ...     np.ones((8, 1)),
    ...     validation_split=0.5,
    ...     callbacks=[stn.callbacks.SchedulePlot("schedule.png")],
    ...     verbose=0,
    ... )
    """

    def __init__(
        self, path=None, freq="auto", source=None, groups=None, metrics=None
    ):
        super().__init__()
        if freq != "auto" and not is_count(freq, 1):
            raise ValueError(
                "`freq` must be 'auto' or a positive integer, a number of "
                f"epochs. Received: freq={freq!r}"
            )
        require_matplotlib()
        self._picture = NotebookPicture() if path is None else PictureFile(path)
        self.path = path
        self.freq = freq
        self.source = source
        self.groups = groups
        self.metrics = metrics
        self._rows = []

    def on_train_begin(self, logs=None):
        space = getattr(self.model, "hyperparameters", None)
        if self.source is None and not hasattr(space, "declarations"):
            raise ValueError(
                "`SchedulePlot` draws the hyperparameters of a "
                "`keras_stn.SelfTuningModel`. For another model pass a "
                "`source`. Received: a model of the class "
                f"`{type(self.model).__name__}`"
            )
        self._is_chief = backend.is_chief(self.model.distribute_strategy)
        if self._is_chief:
            self._picture.prepare()
        self._has_begun = False
        self._is_stale = False
        self._next_time = -math.inf

    def on_epoch_begin(self, epoch, logs=None):
        if self._has_begun or not self._is_chief:
            return
        # Not when training begins: another callback may restore weights then,
        # and a `ScheduleLogger` begins its file now.
        self._has_begun = True
        if self.source is not None:
            self._check_source()
            return
        self._rows = [row for row in self._rows if row["epoch"] < epoch]
        if not self._rows:
            start = self.model.hyperparameters.logs()
            self._record(epoch - 1, start)

    def on_epoch_end(self, epoch, logs=None):
        if not self._is_chief:
            return
        self._record(epoch, logs or {})
        self._is_stale = True
        if self.freq == "auto":
            is_due = time.perf_counter() >= self._next_time
        else:
            is_due = (epoch + 1) % self.freq == 0
        if is_due:
            self._draw()

    def on_train_end(self, logs=None):
        if self._is_stale:
            self._draw()

    def _record(self, epoch, logs):
        if self.source is None:
            numbers = {name: to_number(value) for name, value in logs.items()}
            self._rows.append({"epoch": epoch, **numbers})

    def _draw(self):
        begin = time.perf_counter()
        self._picture.show(
            plot_schedule(self._columns(), self.groups, self.metrics)
        )
        self._is_stale = False
        end = time.perf_counter()
        self._next_time = end + (end - begin) * (1 / SHARE - 1)

    def _columns(self):
        if self.source is not None:
            return self.source
        names = dict.fromkeys(name for row in self._rows for name in row)
        records = read_records(
            {
                name: [row.get(name, math.nan) for row in self._rows]
                for name in names
            }
        )
        return with_bounds(records, self.model.hyperparameters.declarations)

    def _check_source(self):
        if not os.path.exists(self.source):
            raise FileNotFoundError(
                "`source` must be the file that a "
                "`keras_stn.callbacks.ScheduleLogger` writes, which must come "
                "before the `SchedulePlot` in the list of callbacks. "
                f"Received: source={str(self.source)!r}"
            )
