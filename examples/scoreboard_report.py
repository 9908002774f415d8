"""What `scoreboard.py` makes of its runs: a table and a picture.

    python examples/scoreboard_report.py
    python examples/scoreboard_report.py --variant paper

reads `results/scoreboard/runs.jsonl`, which need not be complete, prints a
summary and writes it to `table.md`, above a row for each problem and start.
`scoreboard.png` shows all of them at a glance.
"""

import argparse
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from scoreboard_measures import EVEN
from scoreboard_measures import SEARCH
from scoreboard_measures import STARTS
from scoreboard_measures import against_search
from scoreboard_measures import best_known
from scoreboard_measures import by_start
from scoreboard_measures import changes_of
from scoreboard_measures import cost_of_reuse
from scoreboard_measures import count_cells
from scoreboard_measures import finite_or_worst
from scoreboard_measures import gain
from scoreboard_measures import means_of
from scoreboard_measures import regrets
from scoreboard_measures import spreads
from scoreboard_measures import standard_error
from scoreboard_measures import to_board
from scoreboard_picture import draw

# How much lower the mean loss from a start shall be than that of plain.
AIMS = {"sensible": 0.03, "low": 0.1, "high": 0.1, "random": 0.1, "none": None}
ABSENT = "no runs yet"


def read(path):
    """Reads the runs; none if there is no such file.

    A line that an interruption has torn is left out.

    Args:
        path: Path of a file with a run a line, as JSON.

    Returns:
        List of dictionaries.
    """
    runs = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                runs.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return runs


def percent(share, error=None):
    text = f"{100 * share:+.1f} %"
    return text if error is None else f"{text[:-2]} ± {100 * error:.1f} %"


def mean_changes(board, name):
    return {
        cell: statistics.fmean(changes)
        for cell, changes in changes_of(board, name).items()
    }


def worst_cell(board, name):
    """Text that says in which cell a method does worst, and how badly."""
    changes = mean_changes(board, name)
    cell = max(changes, key=lambda cell: finite_or_worst(changes[cell]))
    error = standard_error(changes_of(board, name)[cell])
    return f"{' from '.join(cell)}: {percent(changes[cell], error)}"


def at_starts(values):
    """Cells of a table: means for each start, and over all."""
    means = by_start(values)
    cells = [percent(means[s]) if s in means else "" for s in STARTS]
    return [*cells, percent(statistics.fmean(values.values()))]


def comparison_table(board):
    """How every method compares with the plain network, a row each."""
    ends = f"{100 * EVEN:.0f} %"
    header = ["test loss against plain", f"better by > {ends}", "even"]
    header += [f"worse by > {ends}", *STARTS, "all", "worst cell"]
    rows = []
    for name in board:
        changes = mean_changes(board, name)
        if name != "plain" and changes:
            counts = map(str, count_cells(changes))
            worst = worst_cell(board, name)
            rows.append([name, *counts, *at_starts(changes), worst])
    return [header, *rows]


def regret_table(board):
    """How far each method is from the best known, and what it costs."""
    header = ["above the best known loss", *STARTS, "all", "updates"]
    rows = []
    for name in board:
        found = regrets(board, name)
        if name in ("plain", "tuned", SEARCH) and found:
            updates = means_of(board, name, "updates").values()
            mean = f"{statistics.fmean(updates):.0f}"
            rows.append([name, *at_starts(found), mean])
    return [header, *rows]


def sentences(board):
    """Sentences on what tuning gains, how steadily, and at what cost."""
    found = []
    gains = list(gain(board).values())
    if gains:
        mean = statistics.fmean(change for change, _ in gains)
        count = sum(change < 0 for _, change in gains)
        found.append(
            "Gain due to tuning: against the better of plain and frozen in "
            f"each cell, tuned has {percent(mean)} test loss in the mean; it "
            f"is lower than frozen in {count} of {len(gains)} cells."
        )
    shared = against_search(board, "tuned")
    if shared:
        own, other, share = shared
        found.append(
            "Regret, where there is a random search as well: tuned "
            f"{percent(own)}, random search {percent(other)}, with "
            f"{share:.3f} of its updates (1/{1 / share:.1f})."
        )
    deviations = list(spreads(board).values())
    if deviations:
        plain, tuned = map(statistics.fmean, zip(*deviations))
        found.append(
            "Spread over the starts, in the mean over problems: plain "
            f"{100 * plain:.1f} %, tuned {100 * tuned:.1f} % of the best "
            f"known loss; the ratio is {ratio_of_spreads(board):.2f}."
        )
    reuse = cost_of_reuse(board, "plain", "tuned")
    if reuse:
        found.append(
            "Using the validation data twice: test loss against validation "
            f"loss {percent(reuse['plain'])} for plain and "
            f"{percent(reuse['tuned'])} for tuned."
        )
    reuse = cost_of_reuse(board, "plain", "tuned", "apart")
    if reuse:
        figures = (f"{name} {percent(reuse[name])}" for name in reuse)
        changes = changes_of(board, "tuned", "apart").values()
        mean = statistics.fmean(map(statistics.fmean, changes))
        found.append(
            "Of the runs that tune on one half and choose the epoch on the "
            f"other: {', '.join(figures)}; tuned has {percent(mean)} test "
            "loss against apart."
        )
    return found


def ratio_of_spreads(board):
    """Tuned's spread over the starts by plain's, averaged over problems."""
    ratios = [
        tuned / plain for plain, tuned in spreads(board).values() if plain
    ]
    return statistics.fmean(ratios) if ratios else None


def check_aims(board):
    """The aims, and whether they are met.

    Args:
        board: The board.

    Returns:
        List of triples: the aim, whether it is met (`None` where there is no
        aim or no run), and the figure.
    """
    changes = mean_changes(board, "tuned")
    found = []

    def add(aim, figure, is_met):
        found.append((aim, is_met if figure else None, figure or ABSENT))

    figure, worse = None, count_cells(changes)[2]
    if changes:
        worst = worst_cell(board, "tuned")
        figure = f"{worse} of {len(changes)} cells, worst {worst}"
    add(
        "no cell worse than plain by more than 1 % in the mean",
        figure,
        not worse,
    )
    means = by_start(changes)
    for start, aim in AIMS.items():
        figure = percent(means[start]) if start in means else None
        if aim is None:
            text, is_met = f"from {start}, without an aim", None
        else:
            text = f"from {start} starts {aim:.0%} better in the mean"
            is_met = start in means and means[start] <= -aim
        add(text.replace("%", " %"), figure, is_met)
    gains = [change for _, change in gain(board).values()]
    count = sum(change < 0 for change in gains)
    figure = f"{count} of {len(gains)}" if gains else None
    is_met = count >= 0.8 * len(gains)
    add("tuned better than frozen in 8 of 10 cells", figure, is_met)
    ratio = ratio_of_spreads(board)
    figure = None if ratio is None else f"{ratio:.2f}"
    is_met = ratio is not None and ratio <= 1 / 3
    add("spread over the starts at most a third of plain's", figure, is_met)
    own, other, share = against_search(board, "tuned") or (0, 0, 0)
    figure = share and f"{percent(own)} and {percent(other)}, at {share:.3f}"
    is_met = own <= other and share <= 1 / 8
    add(
        "at most the regret of a random search of 10 networks, at an eighth "
        "of its updates",
        figure,
        is_met,
    )
    return found


def cell_table(board, kinds):
    """A row for each problem and start: how all methods did."""
    best, plain = best_known(board), means_of(board, "plain")
    others = [name for name in board if name not in ("plain", SEARCH)]
    search = means_of(board, SEARCH)
    changes = {name: changes_of(board, name) for name in others}
    header = ["problem", "kind", "start", "plain", *others]
    table = [[*header, "best known", SEARCH]]
    for problem, start in cells_of(board, kinds):
        cell = (problem, start)
        row = [problem, kinds.get(problem, ""), start]
        row.append(to_text(plain.get(cell)))
        for name in others:
            values = changes[name].get(cell)
            # Only of tuned ones, for a table that can be read.
            is_tuned = name.startswith("tuned")
            error = standard_error(values) if values and is_tuned else None
            mean = values and percent(statistics.fmean(values), error)
            row.append(mean or "")
        row += [to_text(best.get(problem)), to_text(search.get(cell))]
        table.append(row)
    return table


def to_text(loss):
    return "" if loss is None else f"{loss:.4f}"


def cells_of(board, kinds):
    """What has been trained from which start, in the order of tables."""
    cells = {cell for name in board if name != SEARCH for cell in board[name]}
    problems = [*kinds, *sorted({problem for problem, _ in cells} - {*kinds})]
    starts = [*STARTS, *sorted({start for _, start in cells} - {*STARTS})]
    pairs = ((problem, start) for problem in problems for start in starts)
    return [cell for cell in pairs if cell in cells]


def summarize(board):
    """The summary, as Markdown."""
    # Not above, since it brings TensorFlow along.
    from run_table import to_markdown

    tables = (comparison_table(board), regret_table(board))
    parts = [to_markdown(table) for table in tables if len(table) > 1]
    parts += [f"{sentence}\n" for sentence in sentences(board)]
    words = {True: "yes, ", False: "no, ", None: ""}
    aims = [
        f"- {aim}: {words[is_met]}{figure}\n"
        for aim, is_met, figure in check_aims(board)
    ]
    return "\n".join([*parts, "".join(aims)])


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=pathlib.Path, default="results/scoreboard"
    )
    parser.add_argument("--variant", default="", help="which one to call tuned")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    board = to_board(read(arguments.folder / "runs.jsonl"), arguments.variant)
    if not board:
        print(f"There are {ABSENT} in {arguments.folder}.")
        return
    from run_table import to_markdown
    from scoreboard_problems import PROBLEMS

    kinds = {name: problem.kind for name, problem in PROBLEMS.items()}
    summary = summarize(board)
    print(summary)
    cells = cell_table(board, kinds)
    text = f"{summary}\n{to_markdown(cells)}"
    (arguments.folder / "table.md").write_text(text, encoding="utf-8")
    problems = list(dict.fromkeys(row[0] for row in cells[1:]))
    if problems:
        draw(board, problems, arguments.folder / "scoreboard.png")


if __name__ == "__main__":
    main()
