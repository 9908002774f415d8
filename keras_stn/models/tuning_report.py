"""What a call of `fit` did to the hyperparameters."""

from typing import NamedTuple

import numpy as np

from keras_stn.hyperparameters.sample import places
from keras_stn.hyperparameters.table import to_table
from keras_stn.models import movement

MAX_ROWS = 20

MOVING = (
    "still moving: train longer or give `hyper_optimizer` a larger "
    "learning rate"
)
RESTING = (
    "hardly moved: train longer or give `hyper_optimizer` a larger "
    "learning rate"
)
NOT_TUNED = "not tuned: train for more epochs than those of the warm-up"
SMALLEST = "as small as it can be: could be left out"
AT_END = "at the {} end of its range: widen the range"


class TunedHyperparameter(NamedTuple):
    """A row of a `TuningReport`.

    Values are those that layers get, without perturbation: integers of an
    `Int`, and the mean where there is a size.

    Attributes:
        name: String, the hyperparameter's name.
        start: Number, the value at the beginning of this `fit`.
        requested_start: Number that was asked for in place of `start`, where
            it lies at an end of the range and was moved inside; or `None`.
        value: Number, the value that `fit` left: of the epoch whose weights
            were restored, if so, else of the end.
        last: Number, the value at the end of the last epoch.
        note: String, what is to be seen and, after a colon, what to do; empty
            if there is nothing to say.
        size: Integer, how many values it has, or `None` for a single number.
    """

    name: str
    start: float
    requested_start: float | None
    value: float
    last: float
    note: str = ""
    size: int | None = None


class TuningReport:
    """What a call of `fit` did to the hyperparameters; `print` shows a table.

    Args:
        rows: List of `TunedHyperparameter`, in order of first use.
        last_epoch: Integer, the last epoch that was trained, counted from 1,
            or `None` if there was none.
        restored_epoch: Integer, the earlier epoch whose weights were restored
            at the end, as `EarlyStopping(restore_best_weights=True)` does, or
            `None`.
    """

    def __init__(self, rows, last_epoch=None, restored_epoch=None):
        self.rows = list(rows)
        self.last_epoch = last_epoch
        self.restored_epoch = restored_epoch

    def __str__(self):
        shown = self.rows[:MAX_ROWS]
        # Unless an earlier epoch came back, `last` would be `now` once more.
        has_last = any(row.last != row.value for row in self.rows)
        table = [("hyperparameter", "start", "now", "last", "")]
        table += [
            (
                f"{row.name} (mean of {row.size})" if row.size else row.name,
                describe_start(row),
                describe(row.value),
                describe(row.last),
                row.note.split(":")[0],
            )
            for row in shown
        ]
        if not has_last:
            table = [row[:3] + row[4:] for row in table]
        lines = [to_table(table)]
        hidden = self.rows[MAX_ROWS:]
        if hidden:
            lines.append(
                f"and {len(hidden)} more, in `model.tuning_report().rows`"
            )
        if self.last_epoch is None:
            lines.append("no epoch was trained")
        if self.restored_epoch is not None:
            lines.append(
                f"now: the weights of epoch {self.restored_epoch}, restored "
                f"after epoch {self.last_epoch}"
            )
        lines += dict.fromkeys(row.note for row in self.rows if row.note)
        return "\n".join(lines)


def describe(value):
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def describe_start(row):
    """`0.009`, or `0 (as 0.009)` if it was moved."""
    start = describe(row.start)
    if row.requested_start is None:
        return start
    return f"{describe(row.requested_start)} (as {start})"


def make_report(space, track, restored_epoch=None):
    """Reports on the training that has just ended.

    Args:
        space: The `HyperparameterSpace`, as training left it.
        track: The `LocationTrack` of the training.
        restored_epoch: Integer, the epoch whose weights were restored,
            counted from 0, or `None`.

    Returns:
        A `TuningReport`.
    """
    now = space.values()
    start, last = now, now
    if track.epochs:
        start = space.values(track.locations[0])
        last = space.values(track.locations[-1])
    rows = []
    for name, (columns, declaration) in places(space.declarations).items():
        size = declaration.size
        # Of a single number too it is an array.
        columns = columns if size else slice(columns, columns + 1)
        values = start[name], now[name], last[name]
        if size:
            values = [float(np.mean(value)) for value in values]
        requested, note = None, ""
        if track.epochs:
            track_of_one = track.locations[:, columns]
            requested = find_requested(declaration, track_of_one[0])
            note = find_note(
                declaration,
                track_of_one[np.r_[True, track.is_tuned]],
                track.read()[columns],
            )
        rows.append(
            TunedHyperparameter(
                name, values[0], requested, *values[1:], note, size
            )
        )
    if not track.epochs:
        return TuningReport(rows)
    if restored_epoch == track.epochs[-1]:
        restored_epoch = None
    return TuningReport(
        rows,
        track.epochs[-1] + 1,
        restored_epoch if restored_epoch is None else restored_epoch + 1,
    )


def find_requested(declaration, location):
    """The start that was asked for, if training began at it, moved inside."""
    if declaration.requested_default == declaration.default:
        return None
    is_default = np.allclose(location, declaration.unconstrained_default)
    return declaration.requested_default if is_default else None


def find_note(declaration, locations, location):
    """What there is to say about how a hyperparameter moved.

    Args:
        declaration: A `Float` or `Int`.
        locations: Array of shape `(epochs + 1, n)`, its unconstrained values
            at the beginning and at the end of each epoch that tuned.
        location: Array of shape `(n,)`, where it is now.

    Returns:
        String.
    """
    if len(locations) == 1:
        return NOT_TUNED
    if not movement.has_moved(locations):
        return RESTING
    direction = movement.drift(locations)
    end, outward = movement.find_end(location, declaration)
    if end is None or direction == -outward:
        return MOVING if direction else ""
    if outward * (location - locations[0]).mean() < -movement.SMALL:
        # It began even nearer to the end, and is slowly leaving it.
        return RESTING
    is_zero = 0 in (declaration.low, declaration.requested_default)
    if end == "lower" and is_zero:
        return SMALLEST
    return AT_END.format(end)
