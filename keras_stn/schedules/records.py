"""How a schedule lies in a file, and how it is read."""

import csv
import json
import math
import pathlib

import numpy as np


def read_records(source):
    """Reads a schedule, from a file or from what `fit` returned.

    A file of `keras_stn.callbacks.ScheduleLogger` has a row for every logged
    step, and these columns: `step`, the weight updates done so far, of which
    the first row has none; `epoch`, counted from zero; `wall_time`, in
    seconds since 1970; the `entropy` of the perturbation; losses and metrics;
    and for each hyperparameter `NAME` its value, `NAME_scale`, and the values
    one scale below and above, `NAME_lower` and `NAME_upper`. A last line that
    was torn by a crash is left out.

    Args:
        source: Path of a `.csv` or `.jsonl` file, a
            `keras.callbacks.History`, or a dictionary of columns.

    Returns:
        Dictionary from column names to float64 arrays of one length, NaN
        where a row has no number.

    Raises:
        ValueError: If the file is of another kind, or has no row.
        FileNotFoundError: If there is no such file.
    """
    if hasattr(source, "history"):
        source = {"epoch": source.epoch, **source.history}
    if isinstance(source, dict):
        return {
            name: np.asarray(values, "float64")
            for name, values in source.items()
        }
    path = pathlib.Path(source)
    if not path.exists():
        raise FileNotFoundError(
            "There is no schedule at this path. "
            "`keras_stn.callbacks.ScheduleLogger(path)` writes one while a "
            f"model trains. Received: {str(source)!r}"
        )
    lines = complete_lines(path.read_text(encoding="utf-8"))
    rows = list(parse(path, lines))
    if not rows or "step" not in rows[0]:
        raise ValueError(
            "The file holds no schedule. Pass one that "
            "`keras_stn.callbacks.ScheduleLogger` wrote. "
            f"Received: {str(source)!r} with {len(rows)} rows"
        )
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: np.array([to_float(row.get(name)) for row in rows])
        for name in names
    }


def hyperparameter_names(records):
    """The hyperparameters of a schedule: what has a scale beside it.

    Args:
        records: Dictionary of columns, from `read_records`.

    Returns:
        List of strings, in the order of the columns.
    """
    return [name for name in records if f"{name}_scale" in records]


def complete_lines(text):
    """The lines of a text, without a last one that does not end."""
    return text[: text.rfind("\n") + 1].splitlines()


def parse(path, lines):
    """The rows of a file as dictionaries, by the kind that its name tells."""
    if path.suffix == ".csv":
        return csv.DictReader(lines)
    if path.suffix == ".jsonl":
        return map(json.loads, lines)
    raise ValueError(
        "A schedule's file name must end in '.csv' or '.jsonl'. "
        f"Received: {str(path)!r}"
    )


def to_float(cell):
    return math.nan if cell in (None, "") else float(cell)
