"""The picture of `scoreboard_report.py`: every cell at a glance."""

import statistics

import matplotlib
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.colors import Normalize
from scoreboard_measures import SEARCH
from scoreboard_measures import STARTS
from scoreboard_measures import changes_of

matplotlib.use("Agg")
from matplotlib import pyplot

# Blue and orange of Okabe and Ito, which the colour-blind can tell apart.
COLORS = LinearSegmentedColormap.from_list(
    "scoreboard", ("#0072B2", "#F7F7F7", "#D55E00")
)
LIMIT = 0.2
MISSING = "#DDDDDD"
# The columns of each panel, and what stands above it.
PANELS = {
    "tuned": (STARTS, "self-tuned"),
    "frozen": (STARTS, "converted, not tuned"),
    SEARCH: (("sensible",), "random search,\nagainst sensible"),
}
# Inches.
CELL = (0.72, 0.44)
# How far from a cell's middle a dot may lie, for a cell of width 1.
REACH = 0.42


def draw(board, problems, path):
    """Draws the relative test losses as coloured grids.

    A row is a problem, a column a start. The number is the mean over the
    seeds, and a dot below it a single seed.

    Args:
        board: The board, as from `scoreboard_measures.to_board`.
        problems: List of strings, the rows.
        path: Path of the picture.
    """
    panels = [name for name in PANELS if name == "tuned" or name in board]
    widths = [len(PANELS[name][0]) for name in panels]
    figure, grid = pyplot.subplots(
        1,
        len(panels),
        figsize=(
            2.8 + CELL[0] * sum(widths),
            1.6 + CELL[1] * max(len(problems), 5),
        ),
        width_ratios=widths,
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for axes, name in zip(grid[0], panels):
        starts, title = PANELS[name]
        draw_panel(axes, changes_of(board, name), problems, starts)
        axes.set_title(title, fontsize=10)
    grid[0, 0].set_yticks(range(len(problems)), problems)
    bar = figure.colorbar(
        matplotlib.cm.ScalarMappable(Normalize(-LIMIT, LIMIT), COLORS),
        ax=grid[0],
        extend="both",
        ticks=[-LIMIT, -LIMIT / 2, 0, LIMIT / 2, LIMIT],
        format=lambda change, _: f"{to_text(change, 0)} %",
        label="blue: lower loss, orange: higher",
        aspect=30,
    )
    bar.outline.set_visible(False)
    figure.suptitle(
        "Test loss against the plain network from the same start, in per cent",
        fontsize=11,
    )
    end = f"{100 * LIMIT:.0f}"
    figure.supxlabel(
        "Columns are starts. A dot is a single seed; at the tick it equals\n"
        f"plain, at a cell's left end it is {end} % lower, at its right end "
        f"{end} % higher.",
        fontsize=8,
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_panel(axes, changes, problems, starts):
    """Draws one grid.

    Args:
        axes: Where to.
        changes: Dictionary from cells to lists of relative differences.
        problems: List of strings, the rows.
        starts: Tuple of strings, the columns.
    """
    norm = Normalize(-LIMIT, LIMIT)
    for row, problem in enumerate(problems):
        for column, start in enumerate(starts):
            values = changes.get((problem, start))
            color, text = MISSING, ""
            if values:
                mean = statistics.fmean(values)
                color = COLORS(norm(mean))
                text = to_text(mean, 1)
            axes.add_patch(
                pyplot.Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    facecolor=color,
                    edgecolor="white",
                    linewidth=1.5,
                )
            )
            if not values:
                continue
            ink = "white" if abs(mean) > 0.7 * LIMIT else "black"
            axes.text(
                column,
                row - 0.08,
                text,
                ha="center",
                va="center",
                fontsize=9,
                color=ink,
            )
            places = [
                column + REACH * min(max(value / LIMIT, -1), 1)
                for value in values
            ]
            axes.plot(
                [column] * 2,
                [row + 0.26, row + 0.38],
                linewidth=0.6,
                color=ink,
            )
            axes.plot(
                places,
                [row + 0.32] * len(places),
                linestyle="none",
                marker="o",
                markersize=2.2,
                markeredgewidth=0,
                color=ink,
            )
    axes.set(
        xlim=(-0.5, len(starts) - 0.5),
        ylim=(len(problems) - 0.5, -0.5),
    )
    axes.set_xticks(range(len(starts)), starts, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def to_text(change, digits):
    """A relative difference in per cent, with a minus as long as a plus."""
    return f"{100 * change:+.{digits}f}".replace("-", "−") if change else "0"
