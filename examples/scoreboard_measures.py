"""What `scoreboard_report.py` reckons from the runs.

A `board` is a dictionary from the names of methods to dictionaries from
cells, pairs of a problem and a start, to dictionaries from seeds to runs.
Whatever is missing from it is left out of what is reckoned.
"""

import math
import statistics

# In the order of tables.
STARTS = ("low", "sensible", "high", "none", "random")
METHODS = ("plain", "frozen", "tuned", "apart")
SEARCH = "random search"
# The networks of a random search; one that is not over does not count.
NETWORKS = 10
# Changes of the loss that are no more than this are none.
EVEN = 0.01


def to_board(runs, variant=""):
    """Sorts the runs by method, cell and seed.

    A random search knows no start, so its result stands at all of them.

    Args:
        runs: List of dictionaries, as `scoreboard.py` writes them.
        variant: String, the variant to be called tuned.

    Returns:
        The board.
    """
    board, searches = {}, {}
    for run in runs:
        problem, start, seed = run["problem"], run["start"], run["seed"]
        if run["method"] == "random":
            networks = searches.setdefault((problem, seed), {})
            networks[run["network"]] = run
        else:
            cells = board.setdefault(name_of(run, variant), {})
            cells.setdefault((problem, start), {})[seed] = run
    for (problem, seed), networks in searches.items():
        if len(networks) == NETWORKS:
            cells = board.setdefault(SEARCH, {})
            for start in STARTS:
                seeds = cells.setdefault((problem, start), {})
                seeds[seed] = to_result(networks.values())
    names = sorted({*board} - {*METHODS, SEARCH})
    order = [*METHODS, *names, SEARCH]
    return {name: board[name] for name in order if name in board}


def name_of(run, variant):
    """What a run's method is called beside those of other variants."""
    method = run["method"]
    if method in ("tuned", "apart"):
        is_usual = run["variant"] == variant
    else:
        # The plain network is the same whatever the settings.
        is_usual = method == "plain" or not run["variant"]
    return method if is_usual else f"{method} ({run['variant'] or 'default'})"


def to_result(networks):
    """A random search as one run: its best network, and what all cost."""
    networks = list(networks)
    best = min(networks, key=lambda run: finite_or_worst(run["validation"]))
    return {**best, "updates": sum(run["updates"] for run in networks)}


def finite_or_worst(loss):
    return loss if math.isfinite(loss) else math.inf


def standard_error(values):
    """That of a mean; `None` of a single value."""
    if len(values) < 2:
        return None
    return statistics.stdev(values) / math.sqrt(len(values))


def means_of(board, name, key="test"):
    """A figure of a method, averaged over the seeds of each cell."""
    return {
        cell: statistics.fmean(run[key] for run in seeds.values())
        for cell, seeds in board.get(name, {}).items()
    }


def shared_runs(board, *names):
    """The runs that several methods have of the same cell and seed.

    Args:
        board: The board.
        *names: Strings, the methods.

    Returns:
        Dictionary from cells to lists with a tuple of runs for each seed, one
        of each method.
    """
    first, *others = (board.get(name, {}) for name in names)
    shared = {}
    for cell, seeds in first.items():
        columns = [seeds, *(other.get(cell, {}) for other in others)]
        rows = [
            tuple(column[seed] for column in columns)
            for seed in sorted(seeds)
            if all(seed in column for column in columns)
        ]
        if rows:
            shared[cell] = rows
    return shared


def changes_of(board, name, base="plain"):
    """How a method's test loss differs from another's of the same seed.

    Args:
        board: The board.
        name: String, the method.
        base: String, what it is compared with.

    Returns:
        Dictionary from cells to lists of relative differences, one a seed.
    """
    return {
        cell: [run["test"] / other["test"] - 1 for run, other in rows]
        for cell, rows in shared_runs(board, name, base).items()
    }


def by_start(values):
    """Averages figures of cells over the problems, for each start."""
    starts = {}
    for start in STARTS:
        some = [value for cell, value in values.items() if cell[1] == start]
        if some:
            starts[start] = statistics.fmean(some)
    return starts


def count_cells(changes):
    """How many cells are better, even and worse.

    Args:
        changes: Dictionary from cells to their mean relative differences.

    Returns:
        Tuple of three integers.
    """
    better = sum(change < -EVEN for change in changes.values())
    even = sum(abs(change) <= EVEN for change in changes.values())
    # A loss that is not a number is worse than any.
    return better, even, len(changes) - better - even


def gain(board):
    """What tuning gains over the better of plain and frozen in each cell.

    Args:
        board: The board.

    Returns:
        Dictionary from cells to pairs of relative differences, to the better
        of the two and to frozen.
    """
    gains = {}
    for cell, rows in shared_runs(board, "tuned", "plain", "frozen").items():
        tuned, plain, frozen = (
            statistics.fmean(run["test"] for run in runs) for runs in zip(*rows)
        )
        gains[cell] = (
            tuned / min(plain, frozen, key=finite_or_worst) - 1,
            tuned / frozen - 1,
        )
    return gains


def best_known(board):
    """The least test loss that anything came to, for each problem.

    A mean over fewer seeds than plain networks have is left out, since it may
    be the least by chance.

    Args:
        board: The board.

    Returns:
        Dictionary from problems to losses.
    """
    least = {}
    for (problem, _), seeds in board.get("plain", {}).items():
        least[problem] = min(len(seeds), least.get(problem, len(seeds)))
    best = {}
    for name, cells in board.items():
        for cell, loss in means_of(board, name).items():
            problem, count = cell[0], len(cells[cell])
            if math.isfinite(loss) and count >= least.get(problem, 0):
                best[problem] = min(loss, best.get(problem, loss))
    return best


def regrets(board, name):
    """How far a method is above the best known loss, for each cell."""
    best = best_known(board)
    return {
        cell: loss / best[cell[0]] - 1
        for cell, loss in means_of(board, name).items()
        if cell[0] in best
    }


def against_search(board, name):
    """A method's regret and updates beside those of the random search.

    Args:
        board: The board.
        name: String, the method.

    Returns:
        Tuple of the mean regret of both over the cells that both have, and of
        the method's share of the search's updates; `None` without such cells.
    """
    own, others = regrets(board, name), regrets(board, SEARCH)
    cells = own.keys() & others.keys()
    if not cells:
        return None
    updates, all_updates = (
        sum(means_of(board, one, "updates")[cell] for cell in cells)
        for one in (name, SEARCH)
    )
    return (
        statistics.fmean(own[cell] for cell in cells),
        statistics.fmean(others[cell] for cell in cells),
        updates / all_updates,
    )


def spreads(board):
    """How much the start matters: deviations over the starts.

    Args:
        board: The board.

    Returns:
        Dictionary from problems to pairs of standard deviations of the mean
        test loss, relative to the best known, of plain and of tuned.
    """
    best = best_known(board)
    plain, tuned = means_of(board, "plain"), means_of(board, "tuned")
    shared = [cell for cell in plain if cell in tuned]
    found = {}
    for problem in dict.fromkeys(problem for problem, _ in shared):
        cells = [cell for cell in shared if cell[0] == problem]
        if len(cells) > 1 and problem in best:
            found[problem] = tuple(
                statistics.stdev(losses[cell] for cell in cells) / best[problem]
                for losses in (plain, tuned)
            )
    return found


def cost_of_reuse(board, *names):
    """How much worse the test loss is than that of the validation data.

    Args:
        board: The board.
        *names: Strings, methods. Only the cells and seeds count that all of
            them have.

    Returns:
        Dictionary from methods to means over the runs; empty without runs.
    """
    cells = shared_runs(board, *names).values()
    rows = [row for rows in cells for row in rows]
    if not rows:
        return {}
    return {
        name: statistics.fmean(
            run["test"] / run["validation"] - 1 for run in runs
        )
        for name, runs in zip(names, zip(*rows))
    }
