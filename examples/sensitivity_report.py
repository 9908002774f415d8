"""What `sensitivity.py` writes: results as they come, table and pictures."""

import csv

import matplotlib
import numpy as np
from image_experiment import COLORS

from keras_stn.schedules.records import complete_lines

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


def read_rows(path):
    """The rows of a CSV file; of none, if there is no such file.

    A last line that an interruption cut off is removed from the file, so that
    the next row begins a line.
    """
    if not path.exists():
        return []
    text = path.read_text()
    lines = complete_lines(text)
    if not text.endswith("\n"):
        path.write_text("".join(f"{line}\n" for line in lines))
    return list(csv.DictReader(lines))


def append_row(row, path):
    """Adds a row to a CSV file, with a header if it is the first."""
    is_first = not path.exists() or not path.stat().st_size
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if is_first:
            writer.writeheader()
        writer.writerow(row)


def summarize(rows):
    """Means and standard deviations over the seeds.

    Args:
        rows: List of dictionaries, from `read_rows`.

    Returns:
        Dictionary from pairs of ratio and scales to dictionaries from names
        of figures to pairs of mean and standard deviation, which is `None`
        with one seed.
    """
    groups = {}
    for row in rows:
        groups.setdefault((row["train:tuning"], row["scales"]), []).append(row)
    return {
        setting: {
            "seeds": (len(group), None),
            **{
                name: spread([float(row[name]) for row in group])
                for name in group[0]
                if name not in KEYS
            },
        }
        for setting, group in groups.items()
    }


def spread(values):
    """Mean and, of more than one value, standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), deviation


def to_markdown(summary):
    """The table, a row a setting: mean ± standard deviation."""
    names = list(next(iter(summary.values())))
    lines = [
        "| train:tuning | scales | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for setting, figures in summary.items():
        cells = [to_cell(name, *figures[name]) for name in names]
        lines.append("| " + " | ".join([*setting, *cells]) + " |")
    return "\n".join(lines) + "\n"


def to_cell(name, mean, deviation):
    """A figure as text, with as many decimals as it deserves."""
    if name == "seeds" or name.endswith("updates"):
        return f"{mean:.0f}"
    digits = 0 if name in ("best epoch", "seconds") else 3
    if "perplexity" in name or name.startswith("CPU"):
        digits = 1
    if deviation is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def write_table(summary, path):
    """Writes means and standard deviations as CSV."""
    names = list(next(iter(summary.values())))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [c for name in names for c in (name, f"{name} deviation")]
        writer.writerow(["train:tuning", "scales", *columns])
        for setting, figures in summary.items():
            cells = [cell for name in names for cell in figures[name]]
            writer.writerow([*setting, *cells])


def read_curve(log, measure, weight_updates):
    """A run's validation figures over its weight updates.

    Args:
        log: Path of a CSV file with an epoch a row.
        measure: String, `"loss"` or `"perplexity"`.
        weight_updates: Integer, those of the whole run.

    Returns:
        Pair of arrays, a number an epoch.
    """
    values = [float(row[f"val_{measure}"]) for row in read_rows(log)]
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
