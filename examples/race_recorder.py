"""The clock of `compare_tuners.py`, and the record of what a method found."""

import contextlib
import json
import math
import time

import keras
from race_problems import BATCH_SIZE
from race_problems import MONITOR
from race_problems import PATIENCE

from keras_stn.schedules.records import complete_lines


class Clock:
    """The time that a method has used, on the wall and of the processor.

    It stands still until it is started.

    Args:
        budget: Float, the seconds that the method may use.
        kind: `"wall"` or `"cpu"`, which of both the budget limits.
        seconds: Float, what was used before, on the wall.
        cpu_seconds: Float, the same of the processor.
    """

    def __init__(self, budget, kind="wall", seconds=0.0, cpu_seconds=0.0):
        self.budget = budget
        self.kind = kind
        self._used = (seconds, cpu_seconds)
        self._since = None

    def start(self):
        self._since = now()

    def stop(self):
        self._used = self.used()
        self._since = None

    @contextlib.contextmanager
    def paused(self):
        """Lets something happen that is no part of the method."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def used(self):
        """Pair of seconds, on the wall and of the processor."""
        if self._since is None:
            return self._used
        return tuple(
            used + end - begin
            for used, begin, end in zip(self._used, self._since, now())
        )

    @property
    def is_over(self):
        """Whether the budget is spent."""
        return self.used()[self.kind == "cpu"] >= self.budget


def now():
    return time.perf_counter(), time.process_time()


class Recorder:
    """Writes what a method finds as JSON lines, one an epoch and a network.

    If the file exists, the record goes on after the last network that was
    trained to its end: what comes after is dropped, and its time with it.

    Args:
        path: Path of a JSON-lines file.
        budget: Float, seconds.
        kind: `"wall"` or `"cpu"`, which seconds the budget limits.
        test: Pair of arrays, the test data.
        keeps_all: Boolean. If `True`, the record goes on after its last row.

    Attributes:
        clock: The `Clock`, which stands still.
        trials: Integer, how many networks were trained.
        is_done: Boolean, whether the record was finished before.
    """

    def __init__(self, path, budget, kind, test, keeps_all=False):
        self.path = path
        self.test = test
        rows = read_rows(path)
        self.is_done = bool(rows) and is_finished(rows[-1], budget, kind)
        if not self.is_done:
            rows = (
                [row for row in rows if row["what"] != "end"]
                if keeps_all
                else until_last_trial(rows)
            )
            write_rows(path, rows)
        last = rows[-1] if rows else {"seconds": 0.0, "cpu_seconds": 0.0}
        self.clock = Clock(budget, kind, last["seconds"], last["cpu_seconds"])
        self.trials = sum(row["what"] == "trial" for row in rows)
        self.best = min(
            (row["best"] for row in rows if "best" in row), default=math.inf
        )

    def begin_trial(self):
        """Begins a network, which may become the best."""
        self.epochs = 0
        self.best_of_trial = math.inf
        self.best_weights = None
        self.is_cut = False

    def on_epoch(self, model, epoch, value):
        """Takes down an epoch, and ends the training with the budget.

        Args:
            model: The network.
            epoch: Integer, counted from 0.
            value: Float, the validation loss.
        """
        self.clock.stop()
        self.epochs += 1
        self.best_of_trial = min(self.best_of_trial, value)
        if value < self.best:
            self.best = value
            self.best_weights = model.get_weights()
        self.write("epoch", epoch=epoch, val_loss=value, best=self.best)
        if self.clock.is_over:
            self.is_cut = model.stop_training = True
        self.clock.start()

    def end_trial(self, model, values):
        """Ends a network; the best so far is tested, off the clock.

        Args:
            model: The network.
            values: Dictionary of its hyperparameters.
        """
        with self.clock.paused():
            figures = {}
            if self.best_weights is not None:
                last_weights = model.get_weights()
                model.set_weights(self.best_weights)
                tested = model.evaluate(
                    *self.test, batch_size=500, verbose=0, return_dict=True
                )
                model.set_weights(last_weights)
                figures = {
                    "test_loss": tested["cross_entropy"],
                    "test_accuracy": tested["accuracy"],
                }
            self.write(
                "trial",
                epochs=self.epochs,
                val_loss=self.best_of_trial,
                best=self.best,
                is_cut=self.is_cut,
                values=values,
                **figures,
            )
        self.trials += 1

    def finish(self):
        """Ends the record: the budget is spent, or the search is at its end."""
        self.clock.stop()
        self.write("end", is_exhausted=not self.clock.is_over)
        self.is_done = True

    def write(self, what, **figures):
        seconds, cpu_seconds = self.clock.used()
        row = {
            "what": what,
            "trial": self.trials,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            **figures,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class RecordEpochs(keras.callbacks.Callback):
    """Tells a recorder the validation loss of every epoch.

    Args:
        recorder: The `Recorder`.
    """

    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def on_epoch_end(self, epoch, logs=None):
        self.recorder.on_epoch(self.model, epoch, float(logs[MONITOR]))


def train(model, values, recorder, data, epochs, callbacks=(), **options):
    """Trains one network, as every method does.

    Args:
        model: The network, compiled.
        values: Dictionary of its hyperparameters, or a callable that gives
            them after the training.
        recorder: The `Recorder`.
        data: Three pairs of arrays, of which the first two are used.
        epochs: Integer.
        callbacks: List of further callbacks.
        **options: Further arguments of `fit`.

    Returns:
        The `keras.callbacks.History`.
    """
    training, validation, _ = data
    recorder.begin_trial()
    history = model.fit(
        *training,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=validation,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor=MONITOR, patience=PATIENCE, mode="min"
            ),
            *callbacks,
            RecordEpochs(recorder),
        ],
        **options,
    )
    recorder.end_trial(model, values() if callable(values) else values)
    return history


def read_rows(path):
    """The rows of a record; none if there is no such file."""
    if not path.exists():
        return []
    lines = complete_lines(path.read_text(encoding="utf-8"))
    return [json.loads(line) for line in lines]


def write_rows(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def is_finished(row, budget, kind):
    """Whether a record's last row says that nothing is left to do."""
    used = row["cpu_seconds" if kind == "cpu" else "seconds"]
    return row["what"] == "end" and (used >= budget or row["is_exhausted"])


def until_last_trial(rows):
    """The rows up to the last network that was trained to its end."""
    while rows and (rows[-1]["what"] != "trial" or rows[-1]["is_cut"]):
        rows = rows[:-1]
    return rows
