"""The file that a schedule is written to, row by row."""

import csv
import io
import json
import math
import os
import pathlib

import numpy as np

from keras_stn.schedules.records import complete_lines
from keras_stn.schedules.records import hyperparameter_names
from keras_stn.schedules.records import parse


class ScheduleFile:
    """Rows of numbers in a `.csv` or `.jsonl` file, by growing step.

    After a crash at any moment the file holds every row that was written
    before. It is open only while a row is written.

    Args:
        path: String, the file's path.

    Raises:
        ValueError: If the name has another ending.
    """

    def __init__(self, path):
        # A link to the file shall stay one.
        self.path = pathlib.Path(os.path.realpath(path))
        parse(self.path, ())  # Raises a sentence about a wrong ending.
        self.columns = []
        self.last_step = None
        # Where the last row begins and ends.
        self._start = self._end = 0

    def begin(self, columns, step):
        """Starts the file, or goes on with the one there is.

        Args:
            columns: List of strings, what the rows will hold. Further columns
                of the file stay.
            step: Integer, the step that training has reached. Later rows are
                dropped, and at step 0 all of them are.

        Raises:
            ValueError: If the file is not one of the same hyperparameters.
            OSError: If the file cannot be written.
        """
        names = self._names() if step > 0 and self.path.exists() else []
        if names:
            self._check(columns, names)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite(step if names else -1, placed(names, columns))

    def drop_after(self, step):
        """Drops the rows of later steps.

        Args:
            step: Integer, or `None` to drop all rows.

        Raises:
            OSError: If the file cannot be written.
        """
        self._rewrite(-1 if step is None else step, self.columns)

    def write(self, row):
        """Writes a row, in place of the last one if the step is the same.

        Args:
            row: Dictionary from columns to numbers. A column that is missing
                gets an empty cell, and a new one is added to the file.

        Raises:
            OSError: If the file cannot be written. A later call may succeed.
        """
        columns = placed(row, self.columns)
        if columns != self.columns:
            self._rewrite(row["step"] - 1, columns)
        is_again = row["step"] == self.last_step
        start = self._start if is_again else self._end
        line = self._encode({k: to_cell(v) for k, v in row.items()}, columns)
        with open(self.path, "r+b", buffering=0) as file:
            # What an earlier failure left of a row goes as well.
            file.truncate(start)
            file.seek(start)
            self._start = self._end = start
            self.last_step = None
            while line:
                written = file.write(line)
                line = line[written:]
            self._end = file.tell()
        self.last_step = row["step"]

    def sync(self):
        """Waits until the rows are on the disk."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())

    def _rows(self):
        """The rows as dictionaries, without a torn one at the end."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return parse(self.path, complete_lines(text))

    def _names(self):
        """The columns of the rows that the file has."""
        names = {}
        try:
            for row in self._rows():
                float(row["step"])
                names.update(row)
            if None in names:
                raise ValueError("A row is longer than the first.")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                "The file is not a schedule that `keras_stn.callbacks."
                "ScheduleLogger` wrote. Give the callback another path, or "
                f"remove the file. Received: path={str(self.path)!r}"
            ) from error
        return list(names)

    def _check(self, columns, columns_before):
        """Raises a sentence if the rows are those of another model."""
        names, before = map(hyperparameter_names, (columns, columns_before))
        if names != before:
            raise ValueError(
                "The file holds the schedule of another model: training goes "
                "on at a step greater than 0, but the hyperparameters are not "
                "the same. Give the callback another path, or remove the "
                f"file. Received: path={str(self.path)!r} with {before}, and "
                f"a model with {names}"
            )

    def _rewrite(self, last_step, columns):
        """Replaces the file, at once, by one of the rows up to a step."""
        rows = self._rows() if last_step >= 0 else ()
        header = {}
        if self.path.suffix == ".csv":
            header = dict(zip(columns, columns))
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        step = None
        try:
            with open(temporary, "wb") as file:
                if header:
                    file.write(self._encode(header, columns))
                start = file.tell()
                for row in rows:
                    if float(row["step"]) <= last_step:
                        start = file.tell()
                        file.write(self._encode(row, columns))
                        step = int(row["step"])
                end = file.tell()
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self.columns = columns
        self.last_step, self._start, self._end = step, start, end

    def _encode(self, row, columns):
        """The cells of a row as the bytes of a line."""
        if self.path.suffix == ".jsonl":
            cells = {name: row.get(name) for name in columns}
            return f"{json.dumps(cells, ensure_ascii=False)}\n".encode()
        line = io.StringIO()
        writer = csv.writer(line, lineterminator="\n")
        writer.writerow([row.get(name) for name in columns])
        return line.getvalue().encode()


def placed(names, columns):
    """The columns with new ones among the losses, in front of the entropy."""
    new = [name for name in names if name not in columns]
    index = columns.index("entropy") if "entropy" in columns else len(columns)
    return [*columns[:index], *new, *columns[index:]]


def to_cell(value):
    """A number as it is written, or `None` for one that is not finite.

    Args:
        value: Integer or float.

    Returns:
        An integer; or the float whose digits are the fewest that give the
        same float32 again, or the float itself if it needs more.
    """
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    short = np.float32(value)
    return float(str(short)) if float(short) == value else float(value)
