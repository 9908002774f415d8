import numpy as np

from keras_stn.plotting.bounds import with_bounds
from keras_stn.plotting.panel import Panel
from keras_stn.plotting.panel import make_lines
from keras_stn.plotting.panels import find_unit
from keras_stn.plotting.panels import group_by_name
from keras_stn.schedules.records import hyperparameter_names
from keras_stn.schedules.records import read_records

LOSSES = ("loss", "tuning_loss", "val_loss")


def plot_schedule(source, groups=None, metrics=None):
    """Draws how hyperparameters went, and the losses above them.

    Hyperparameters of a kind share a panel, and all panels share one axis of
    time. Words in their names tell the kind, such as `dropout`, `hue`, `l2`
    or `holes`; the page "Pictures of a schedule" lists them all.

    The band around a line is as wide as its perturbation: one scale below and
    above. At the right end of a line stand its name, its first and its last
    value. Strengths, penalties and others get a logarithmic axis where the
    largest value is a hundred times the smallest. Losses may begin above the
    top of their panel: its range leaves out a first twentieth of training.

    Args:
        source: Path of a file that `keras_stn.callbacks.ScheduleLogger` wrote,
            the `keras.callbacks.History` that `fit` returned, or a dictionary
            of columns. A `History` knows the ends of epochs, and not the
            values before the first. A dictionary gets bands if it has the
            columns `NAME_lower` and `NAME_upper`.
        groups: Dictionary from titles of panels to lists of columns, to
            choose what is drawn and where; or `None` to go by their names.
        metrics: List of columns to draw above the hyperparameters, such as
            `["accuracy", "val_accuracy"]`, or `[]` for none. If `None`, the
            losses that there are: `loss`, `tuning_loss`, `val_loss`.

    Returns:
        A `matplotlib.figure.Figure`, which a notebook shows and
        `figure.savefig(path)` writes. It does not touch `pyplot`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is nothing to draw, an unknown column is named,
            or columns differ in length.
        FileNotFoundError: If there is no such file.

    Example:

    >>> import keras_stn as stn
    >>> figure = stn.plot_schedule({
    ...     "epoch": [0, 1, 2],
    ...     "dropout": [0.05, 0.07, 0.11],
    ...     "dropout_scale": [0.5, 0.48, 0.45],
    ...     "val_loss": [1.2, 1.0, 0.9],
    ... })
    >>> figure.savefig("schedule.png")

    Reference:
        [MacKay et al., 2019](https://arxiv.org/abs/1903.03088), figures of
        schedules
    """
    require_matplotlib()
    from keras_stn.plotting.schedule_figure import ScheduleFigure

    records = read(source)
    names = hyperparameter_names(records)
    if groups is None:
        groups = group_by_name(names)
    check_columns(records, groups, metrics)
    x, x_label = find_time(records)
    if metrics is None:
        losses = [name for name in LOSSES if name in records]
        panels = [Panel("Losses", "loss", make_lines(records, losses, x), True)]
    else:
        lines = make_lines(records, metrics, x)
        panels = [Panel("Metrics", "value", lines, True)]
    panels += [
        Panel(title, find_unit(columns), make_lines(records, columns, x))
        for title, columns in groups.items()
    ]
    panels = [panel for panel in panels if panel.lines]
    if not panels:
        raise ValueError(
            "The schedule has nothing to draw: no hyperparameter, which is a "
            "column `NAME` with `NAME_scale` beside it, and no loss, or no "
            f"number in them. Received: {len(x)} rows of {list(records)}"
        )
    return ScheduleFigure(panels, x_label)


def require_matplotlib():
    """Raises a sentence if there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Pictures of schedules need matplotlib. Install it with "
            "`pip install keras_stn[plot]`."
        ) from error


def read(source):
    """The columns of a schedule, with bounds, all of one length.

    Args:
        source: As in `plot_schedule`.

    Returns:
        Dictionary of columns.
    """
    records = read_records(source)
    if hasattr(source, "history"):
        # With `validation_freq`, Keras's history has too few of some, and
        # does not tell of which epochs.
        rows = len(records["epoch"])
        records = {k: v for k, v in records.items() if len(v) == rows}
    lengths = {name: len(column) for name, column in records.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "The columns of `source` must have the same length. "
            f"Received: lengths {lengths}"
        )
    model = getattr(source, "model", None)
    if hasattr(model, "hyperparameters"):
        records = with_bounds(records, model.hyperparameters.declarations)
    return records


def find_time(records):
    """What lies on the horizontal axis, and its name.

    Args:
        records: Dictionary of columns.

    Returns:
        Tuple of an array and a string.
    """
    if "step" in records:
        return records["step"], "weight updates"
    if "epoch" in records:
        # Values are those after the epoch.
        return records["epoch"] + 1, "epochs"
    rows = max((len(column) for column in records.values()), default=0)
    return np.arange(rows), "row"


def check_columns(records, groups, metrics):
    """Raises a sentence about a column that is not there."""
    wanted = {"groups": [n for names in groups.values() for n in names]}
    wanted["metrics"] = metrics or []
    for argument, names in wanted.items():
        unknown = [name for name in names if name not in records]
        if unknown:
            raise ValueError(
                f"`{argument}` must name columns of the schedule, which are "
                f"{list(records)}. Received: {unknown} in {argument}"
            )
