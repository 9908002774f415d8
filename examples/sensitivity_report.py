"""What `sensitivity.py` makes of its runs: a table and two pictures."""

import csv
import statistics

import matplotlib
import numpy as np
from quickstart import with_spread

from keras_stn.plotting.schedule_figure import COLORS

matplotlib.use("Agg")
from matplotlib import pyplot

KEYS = ("train:tuning", "scales", "seed")
LINE_STYLES = (
    "-",
    (0, (6, 2)),
    (0, (4, 1.5, 1, 1.5)),
    (0, (1, 1.2)),
    (0, (8, 1.5, 1, 1.5, 1, 1.5)),
    (0, (2.5, 1.5)),
)


def to_figures(runs):
    """The figures of the runs of one setting.

    Args:
        runs: List of dictionaries of strings, one a seed.

    Returns:
        Dictionary from names to lists of numbers, one a seed but for the
        number of seeds itself.
    """
    return {
        "seeds": [len(runs)],
        **{
            name: [float(run[name]) for run in runs]
            for name in runs[0]
            if name not in KEYS
        },
    }


def to_cells(summary):
    """The table to read: means ± standard deviations over the seeds.

    Args:
        summary: Dictionary from pairs of ratio and scales to what `to_figures`
            returns.

    Returns:
        List of rows of strings, the header first.
    """
    table = [["train:tuning", "scales", *next(iter(summary.values()))]]
    for setting, figures in summary.items():
        cells = [to_cell(name, values) for name, values in figures.items()]
        table.append([*setting, *cells])
    return table


def to_cell(name, values):
    """A figure as text, with as many decimals as it deserves."""
    if name == "seeds" or name.endswith("updates"):
        return f"{statistics.mean(values):.0f}"
    digits = 0 if name in ("best epoch", "seconds") else 3
    if "perplexity" in name or name.startswith("CPU"):
        digits = 1
    return with_spread(values, digits)


def to_numbers(summary):
    """The same, in full precision and with deviations in their own columns."""
    names = next(iter(summary.values()))
    columns = [c for name in names for c in (name, f"{name} deviation")]
    table = [["train:tuning", "scales", *columns]]
    for setting, figures in summary.items():
        row = list(setting)
        for values in figures.values():
            deviation = statistics.stdev(values) if len(values) > 1 else None
            row += [statistics.mean(values), deviation]
        table.append(row)
    return table


def read_curve(log, measure, weight_updates):
    """A run's validation figures over its weight updates.

    Args:
        log: Path of a CSV file with an epoch a row.
        measure: String, `"loss"` or `"perplexity"`.
        weight_updates: Integer, those of the whole run.

    Returns:
        Pair of arrays, a number an epoch.
    """
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(row[f"val_{measure}"]) for row in rows]
    epochs = np.arange(1, len(values) + 1)
    return epochs * (weight_updates / len(values)), np.array(values)


def draw(curves, measure, title, path):
    """Draws validation figures, as they are and the best so far.

    Lines are means over the seeds, and bands reach from the least to the
    greatest.

    Args:
        curves: Dictionary from labels to lists of curves, one a seed, as from
            `read_curve`.
        measure: String, `"loss"` or `"perplexity"`.
        title: String, the title of the legend.
        path: Path of the picture.
    """
    figure, grid = pyplot.subplots(
        1, 2, figsize=(10.5, 4.2), layout="constrained", sharey=True
    )
    panels = {
        "after every epoch": np.asarray,
        "best so far": np.minimum.accumulate,
    }
    late = []
    for axes, (name, transform) in zip(grid, panels.items()):
        for i, (label, runs) in enumerate(curves.items()):
            updates = runs[0][0]
            values = np.array([transform(values) for _, values in runs])
            color = COLORS[i % len(COLORS)]
            axes.plot(
                updates,
                values.mean(0),
                color=color,
                linestyle=LINE_STYLES[i % len(LINE_STYLES)],
                linewidth=1.8,
                label=label,
            )
            if len(runs) > 1:
                axes.fill_between(
                    updates,
                    values.min(0),
                    values.max(0),
                    color=color,
                    alpha=0.12,
                    linewidth=0,
                )
            late.append(values[:, values.shape[1] // 4 :])
        axes.set(xlabel="weight updates", title=name)
        axes.spines[["top", "right"]].set_visible(False)
    # The first quarter, where all curves fall alike, would flatten the rest.
    low, high = (f(np.concatenate(late, axis=None)) for f in (np.min, np.max))
    margin = 0.05 * (high - low) or 0.01
    unit = " (nats)" if measure == "loss" else ""
    grid[0].set(
        ylabel=f"validation {measure}{unit}",
        ylim=(low - margin, high + margin),
    )
    grid[1].legend(frameon=False, title=title, handlelength=3.5)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
