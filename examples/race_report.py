"""What `compare_tuners.py` makes of its records: a table and a picture."""

import math
import statistics

import matplotlib
import numpy as np
from quickstart import with_spread
from race_recorder import read_rows
from run_table import save_table

from keras_stn.plotting.schedule_figure import COLORS
from keras_stn.plotting.schedule_figure import STYLES

matplotlib.use("Agg")
from matplotlib import pyplot

# In the order of tables and colours, self-tuning with other settings last.
METHODS = (
    "self_tuning",
    "grid",
    "random",
    "bayesian",
    "hyperband",
    "tpe",
    "pbt",
    "fixed",
)
# What table and picture call them, where it is not their name.
NAMES = {
    "self_tuning": "self-tuning",
    "grid": "grid search",
    "random": "random search",
    "bayesian": "Bayesian optimization",
    "hyperband": "Hyperband",
    "tpe": "TPE, median pruning",
    "pbt": "population-based training",
    "fixed": "fixed at the start values",
}
# The figures of a run, and their decimals in the table.
DIGITS = {
    "networks": 0,
    "epochs": 0,
    "seconds to best": 0,
    "validation loss": 4,
    "test loss": 4,
    "test accuracy": 4,
    "seconds": 0,
}


def read_records(folder):
    """Reads what every method and seed has found so far.

    Args:
        folder: Path of the folder with `METHOD-SEED.jsonl` files.

    Returns:
        Dictionary from methods to dictionaries from seeds to lists of rows.
    """
    runs = {}
    for path in sorted(folder.glob("*.jsonl")):
        method, _, seed = path.stem.rpartition("-")
        rows = read_rows(path)
        if any(row["what"] == "epoch" for row in rows):
            runs.setdefault(method, {})[int(seed)] = rows
    places = {method: place for place, method in enumerate(METHODS)}
    return dict(
        sorted(runs.items(), key=lambda item: places.get(item[0], len(places)))
    )


def to_figures(rows, clock):
    """The figures of one run.

    Args:
        rows: List of the record's rows.
        clock: `"wall"` or `"cpu"`, which seconds to give.

    Returns:
        Dictionary with the keys of `DIGITS`; NaN for tests yet to be made.
    """
    column = column_of(clock)
    epochs = [row for row in rows if row["what"] == "epoch"]
    best = min(epochs, key=lambda row: row["best"])
    tested = [row for row in rows if "test_loss" in row]
    winner = min(tested, key=lambda row: row["best"], default={})
    return {
        "networks": len({row["trial"] for row in epochs}),
        "epochs": len(epochs),
        "seconds to best": best[column],
        "validation loss": best["best"],
        "test loss": winner.get("test_loss", math.nan),
        "test accuracy": winner.get("test_accuracy", math.nan),
        "seconds": rows[-1][column],
    }


def column_of(clock):
    return "cpu_seconds" if clock == "cpu" else "seconds"


def write_table(runs, count, clock, path):
    """Writes the table as Markdown, and every run's figures as CSV.

    Args:
        runs: Dictionary, as from `read_records`.
        count: Integer, the number of hyperparameters.
        clock: `"wall"` or `"cpu"`.
        path: Path of the Markdown file.

    Returns:
        String, the table.
    """
    cells = [["method", "hyperparameters", "runs", *DIGITS]]
    numbers = [["method", "seed", *DIGITS]]
    for method, seeds in runs.items():
        figures = {
            seed: to_figures(rows, clock) for seed, rows in seeds.items()
        }
        numbers += [[method, s, *row.values()] for s, row in figures.items()]
        columns = [
            with_spread([row[name] for row in figures.values()], digits)
            for name, digits in DIGITS.items()
        ]
        name = NAMES.get(method, method)
        cells.append([name, str(count), str(len(seeds)), *columns])
    return save_table(cells, path, numbers)


def seconds_until(rows, loss, clock):
    """When a run had a validation loss as low as this; `None` if never."""
    for row in rows:
        if row["what"] == "epoch" and row["best"] <= loss:
            return row[column_of(clock)]
    return None


def compare(runs, clock, tuned="self_tuning"):
    """Sentences on when self-tuning was as good as each search.

    Args:
        runs: Dictionary, as from `read_records`.
        clock: `"wall"` or `"cpu"`.
        tuned: String, the method that is compared with the others.

    Returns:
        List of strings, one for each run of each search.
    """
    sentences = []
    for method, seeds in runs.items():
        if method.startswith("self_tuning"):
            continue
        for seed, rows in seeds.items():
            figures = to_figures(rows, clock)
            loss = figures["validation loss"]
            needed = [
                seconds_until(other, loss, clock)
                for other in runs[tuned].values()
            ]
            reached = [seconds for seconds in needed if seconds is not None]
            sentence = (
                f"{NAMES.get(method, method)} (seed {seed}) has {loss:.4f} "
                f"after {figures['seconds to best']:.0f} of "
                f"{figures['seconds']:.0f} s; {len(reached)} of {len(needed)} "
                f"runs of {NAMES.get(tuned, tuned)} are as low"
            )
            if reached:
                median = statistics.median(reached)
                sentence += (
                    f", after {median:.0f} s in the median: "
                    f"{median / figures['seconds to best']:.2f} of its time "
                    f"and {median / figures['seconds']:.2f} of its budget"
                )
            sentences.append(sentence + ".")
    return sentences


def draw(runs, clock, title, path):
    """Draws the best validation loss so far against time.

    A method with several runs has a thin line for each. A dotted line goes on
    from the end of a run, whose budget was spent or whose training stopped.

    Args:
        runs: Dictionary, as from `read_records`.
        clock: `"wall"` or `"cpu"`.
        title: String.
        path: Path of the picture.
    """
    figure, axes = pyplot.subplots(figsize=(8.4, 4.2), layout="constrained")
    curves = {
        method: [to_curve(rows, clock) for rows in seeds.values()]
        for method, seeds in runs.items()
    }
    everything = [curve for many in curves.values() for curve in many]
    end = max(minutes[-1] for minutes, _ in everything)
    for method, many in curves.items():
        style = style_of(method, list(runs))
        for number, (minutes, best) in enumerate(many):
            axes.plot(
                minutes,
                best,
                drawstyle="steps-post",
                linewidth=1.8 if len(many) == 1 else 1.1,
                label=None if number else NAMES.get(method, method),
                **style,
            )
            axes.plot(
                [minutes[-1], end],
                [best[-1], best[-1]],
                linewidth=0.8,
                color=style["color"],
                linestyle=":",
            )
    last = [best[-1] for _, best in everything]
    low = min(last)
    # How all begin alike would flatten what distinguishes them.
    early = [
        best[np.searchsorted(minutes, min(end / 10, minutes[-1]))]
        for minutes, best in everything
    ]
    high = max(statistics.median(early), max(last), 1.1 * low)
    # With room above the worst, for how it came there.
    high = min(low + 1.2 * (high - low), 2 * low)
    margin = 0.05 * (high - low)
    unit = "processor time" if clock == "cpu" else "time"
    axes.set(
        xlabel=f"{unit} (minutes)",
        ylabel="best validation loss so far (nats)",
        ylim=(low - margin, high + margin),
        xlim=(0, end),
        title=title,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def style_of(method, methods):
    """The colour and line of a method, the same in every picture."""
    known = METHODS.index(method) if method in METHODS else None
    place = len(METHODS) + methods.index(method) if known is None else known
    return {
        "color": COLORS[place % len(COLORS)],
        "linestyle": STYLES[place // len(COLORS) % len(STYLES)],
    }


def to_curve(rows, clock):
    """Arrays of minutes and of the best losses so far, an epoch each."""
    epochs = [row for row in rows if row["what"] == "epoch"]
    minutes = [row[column_of(clock)] / 60 for row in epochs]
    best = [row["best"] for row in epochs]
    return np.array(minutes), np.array(best)
