import dataclasses

import numpy as np

from keras_stn.plotting.panels import LINEAR_UNITS


@dataclasses.dataclass
class Line:
    """A quantity over time, with its numbers alone.

    Args:
        name: String.
        x: Array of times.
        y: Array of values, as long as `x`.
        lower: Array of the values one scale below, or `None`.
        upper: Array of the values one scale above, or `None`.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    @property
    def is_whole(self):
        """Whether it goes in steps, like an `Int`."""
        return bool(np.all(self.y % 1 == 0))

    @property
    def label(self):
        """The name, with the first and the last value."""
        return f"{self.name}  {self.y[0]:.3g} → {self.y[-1]:.3g}"


@dataclasses.dataclass
class Panel:
    """Quantities that share one axis of values.

    Args:
        title: String.
        unit: String, the name of the axis.
        lines: List of `Line`, at least one.
        is_metrics: Boolean, whether they are losses and metrics.
    """

    title: str
    unit: str
    lines: list
    is_metrics: bool = False

    @property
    def may_be_log(self):
        return self.unit not in LINEAR_UNITS


def make_lines(records, names, x):
    """The lines of columns, without those that hold no number at all.

    Args:
        records: Dictionary of columns.
        names: List of strings, the columns to draw.
        x: Array of times.

    Returns:
        List of `Line`.
    """
    lines = []
    for name in names:
        y = records[name]
        known = np.isfinite(y)
        if known.any():
            bounds = (
                records.get(f"{name}_{end}") for end in ("lower", "upper")
            )
            lines.append(
                Line(
                    name,
                    x[known],
                    y[known],
                    *(b if b is None else b[known] for b in bounds),
                )
            )
    return lines
