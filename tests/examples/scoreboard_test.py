import argparse
import importlib
import json
import multiprocessing
import multiprocessing.pool
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def measures():
    return importlib.import_module("scoreboard_measures")


@pytest.fixture
def report():
    return importlib.import_module("scoreboard_report")


@pytest.fixture
def problems():
    return importlib.import_module("scoreboard_problems")


@pytest.fixture
def scoreboard():
    return importlib.import_module("scoreboard")


def to_run(problem, method, start, seed, test, **others):
    """A run as it stands in the file."""
    above = {"plain": 1.1, "tuned": 1.2}.get(method, 1.1)
    updates = 100 if method in ("plain", "random") else 150
    return {
        "problem": problem,
        "method": method,
        "start": start,
        "seed": seed,
        "network": 0,
        "variant": "",
        "test": test,
        "validation": test / above,
        "epochs": 10,
        "best_epoch": 5,
        "updates": updates,
        "seconds": 1.0,
        "values": {},
        **others,
    }


# Test losses of two seeds for each cell.
LOSSES = {
    "plain": {
        ("fashion", "low"): (1.0, 1.0),
        ("fashion", "sensible"): (0.8, 0.8),
        ("cancer", "low"): (0.5, 0.5),
        ("cancer", "sensible"): (0.4, 0.4),
    },
    "frozen": {
        ("fashion", "low"): (1.0, 1.0),
        ("fashion", "sensible"): (0.72, 0.72),
        ("cancer", "low"): (0.5, 0.5),
        ("cancer", "sensible"): (0.4, 0.4),
    },
    "tuned": {
        ("fashion", "low"): (0.8, 0.9),
        ("fashion", "sensible"): (0.8, 0.8),
        ("cancer", "low"): (0.4, 0.4),
        ("cancer", "sensible"): (0.42, 0.42),
    },
    "apart": {("fashion", "low"): (0.88,)},
}


@pytest.fixture
def runs():
    runs = [
        to_run(problem, method, start, seed, test)
        for method, cells in LOSSES.items()
        for (problem, start), tests in cells.items()
        for seed, test in enumerate(tests)
    ]
    for seed in range(2):
        for network in range(10):
            # The network with the least validation loss is not the one with
            # the least test loss.
            validation = 0.5 if network == 3 else 1.0
            test = {3: 0.7, 5: 0.1}.get(network, 1.0)
            figures = {"network": network, "validation": validation}
            runs.append(
                to_run("fashion", "random", "random", seed, test, **figures)
            )
            if network:
                runs.append(
                    to_run("cancer", "random", "random", seed, 0.1, **figures)
                )
    variant = {"variant": "paper"}
    return [*runs, to_run("fashion", "tuned", "low", 0, 0.5, **variant)]


@pytest.fixture
def board(measures, runs):
    return measures.to_board(runs)


def write(path, runs):
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))


def to_cells(table):
    """The rows of a Markdown table, without the rule."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[c.strip() for c in line.strip("|").split("|")] for line in lines]


# The report.


def test_torn_lines_are_left_out(report, runs, tmp_path):
    path = tmp_path / "runs.jsonl"
    assert report.read(path) == []
    write(path, runs[:2])
    with path.open("a") as file:
        file.write(json.dumps(runs[2])[:40])
    assert report.read(path) == runs[:2]
    with path.open("a") as file:
        file.write("\n" + json.dumps(runs[3]) + "\n")
    assert report.read(path) == [*runs[:2], runs[3]]


def test_methods_are_in_order_and_an_unfinished_search_is_left_out(board):
    assert list(board) == [
        "plain",
        "frozen",
        "tuned",
        "apart",
        "tuned (paper)",
        "random search",
    ]
    search = board["random search"]
    assert {problem for problem, _ in search} == {"fashion"}
    assert [run["test"] for run in search["fashion", "low"].values()] == [
        0.7,
        0.7,
    ]
    assert search["fashion", "low"][0]["updates"] == 1000


def test_variant_takes_the_place_of_tuned(measures, runs):
    board = measures.to_board(runs, "paper")
    assert board["tuned"]["fashion", "low"][0]["test"] == 0.5
    assert board["tuned (default)"]["fashion", "low"][0]["test"] == 0.8
    assert len(board["frozen"]) == 4


def test_methods_compare_with_plain_seed_by_seed(measures, board):
    changes = measures.changes_of(board, "tuned")
    assert changes["fashion", "low"] == pytest.approx([-0.2, -0.1])
    assert measures.standard_error([-0.2, -0.1]) == pytest.approx(0.05)
    assert measures.standard_error([-0.2]) is None
    # The search against plain from each start.
    changes = measures.changes_of(board, "random search")
    assert changes["fashion", "low"] == pytest.approx([-0.3, -0.3])
    assert changes["fashion", "sensible"] == pytest.approx([-0.125] * 2)


def test_cells_are_counted_and_a_loss_that_is_no_number_is_worse(measures):
    changes = {0: -0.02, 1: 0.01, 2: -0.005, 3: 0.02, 4: float("nan")}
    assert measures.count_cells(changes) == (1, 2, 2)


def test_gain_is_over_the_better_of_plain_and_frozen(measures, board):
    gains = measures.gain(board)
    assert gains["fashion", "low"] == pytest.approx((-0.15, -0.15))
    assert gains["fashion", "sensible"] == pytest.approx((1 / 9, 1 / 9))
    assert gains["cancer", "low"] == pytest.approx((-0.2, -0.2))
    assert gains["cancer", "sensible"] == pytest.approx((0.05, 0.05))


def test_regret_is_to_the_best_that_has_enough_seeds(measures, board):
    # Not the variant's 0.5, of a single seed.
    best = measures.best_known(board)
    assert best == pytest.approx({"fashion": 0.7, "cancer": 0.4})
    regrets = measures.regrets(board, "tuned")
    assert measures.by_start(regrets) == pytest.approx(
        {"low": (0.15 / 0.7 + 0) / 2, "sensible": (0.1 / 0.7 + 0.05) / 2}
    )
    assert measures.against_search(board, "tuned") == pytest.approx(
        (0.125 / 0.7, 0, 0.15)
    )


def test_spread_is_over_the_starts(measures, report, board):
    spreads = measures.spreads(board)
    root = 2**0.5
    assert spreads["fashion"] == pytest.approx(
        (0.2 / root / 0.7, 0.05 / root / 0.7)
    )
    assert spreads["cancer"] == pytest.approx(
        (0.1 / root / 0.4, 0.02 / root / 0.4)
    )
    # 1/4 and 1/5.
    assert report.ratio_of_spreads(board) == pytest.approx(0.225)


def test_cost_of_reuse_is_of_the_runs_that_all_have(measures, board):
    assert measures.cost_of_reuse(board, "plain", "tuned") == pytest.approx(
        {"plain": 0.1, "tuned": 0.2}
    )
    board["plain"]["fashion", "low"][0]["validation"] = 0.8
    names = ("plain", "tuned", "apart")
    assert measures.cost_of_reuse(board, *names) == pytest.approx(
        {"plain": 0.25, "tuned": 0.2, "apart": 0.1}
    )


def test_report_writes_its_summary_table_and_picture(
    report, runs, tmp_path, capsys
):
    write(tmp_path / "runs.jsonl", runs)
    report.main(["--folder", str(tmp_path)])
    summary = capsys.readouterr().out.rstrip()
    text = (tmp_path / "table.md").read_text()
    assert text.startswith(summary)
    header, *rows = to_cells(summary)
    rows = {row[0]: row[1:] for row in rows}
    assert header[4:9] == ["low", "sensible", "high", "none", "random"]
    assert rows["frozen"][:3] == ["1", "3", "0"]
    second = to_cells(summary[summary.index("| above") :])
    assert second[1:] == [
        ["plain", "+33.9 %", "+7.1 %", "", "", "", "+20.5 %", "100"],
        ["tuned", "+10.7 %", "+9.6 %", "", "", "", "+10.2 %", "150"],
        ["random search", *["+0.0 %"] * 6, "1000"],
    ]
    first = to_cells(summary[: summary.index("| above")])
    assert first[2] == [
        "tuned",
        "2",
        "1",
        "1",
        "-17.5 %",
        "+2.5 %",
        "",
        "",
        "",
        "-7.5 %",
        "cancer from sensible: +5.0 ± 0.0 %",
    ]
    for part in (
        "tuned has -4.7 % test loss in the mean; it is lower than frozen in "
        "2 of 4 cells.",
        "tuned +17.9 %, random search +0.0 %, with 0.150 of its updates "
        "(1/6.7).",
        "plain 18.9 %, tuned 4.3 % of the best known loss; the ratio is 0.2",
        "+10.0 % for plain and +20.0 % for tuned.",
        "plain +10.0 %, tuned +20.0 %, apart +10.0 %; tuned has -9.1 % test "
        "loss against apart.",
    ):
        assert part in summary
    aims = [line for line in summary.splitlines() if line.startswith("- ")]
    assert [line.rpartition(": ")[2].split(",")[0] for line in aims[1:6]] == [
        "no",
        "yes",
        "no runs yet",
        "no runs yet",
        "no runs yet",
    ]
    assert aims[0].endswith(
        "no, 1 of 4 cells, worst cancer from sensible: +5.0 ± 0.0 %"
    )
    assert aims[6].endswith("in 8 of 10 cells: no, 2 of 4")
    assert "a third of plain's: yes, 0.2" in aims[7]
    assert aims[8].endswith("no, +17.9 % and +0.0 %, at 0.150")
    table = to_cells(text[text.index("| problem") :])
    assert table[0][3:] == [
        "plain",
        "frozen",
        "tuned",
        "apart",
        "tuned (paper)",
        "best known",
        "random search",
    ]
    assert table[1] == [
        "fashion",
        "images, few",
        "low",
        "1.0000",
        "+0.0 %",
        "-15.0 ± 5.0 %",
        "-12.0 %",
        "-50.0 %",
        "0.7000",
        "0.7000",
    ]
    assert [row[0] for row in table[1:]] == ["fashion"] * 2 + ["cancer"] * 2
    picture = (tmp_path / "scoreboard.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


@pytest.mark.parametrize("methods", [["plain"], ["tuned"], ["random"], []])
def test_report_works_on_what_there_is(report, runs, tmp_path, capsys, methods):
    few = [run for run in runs if run["method"] in methods]
    write(tmp_path / "runs.jsonl", few[:20])
    report.main(["--folder", str(tmp_path)])
    assert "no runs" in capsys.readouterr().out
    assert (tmp_path / "table.md").exists() == bool(methods)


def test_report_needs_no_tensorflow_until_it_writes():
    code = (
        "import sys; import scoreboard_report; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, check=True)


# The problems.


def test_starts_and_draws_are_in_range(problems):
    for problem in problems.PROBLEMS.values():
        for start in problems.STARTS:
            values = problems.starting_values(problem, start, seed=3)
            assert values.keys() == problem.hyperparameters.keys()
            for name, (low, high) in problem.hyperparameters.items():
                least = 0 if start == "none" else low
                assert least <= values[name] <= high
    penalties = [
        problems.draw(problems.PENALTY, np.random.default_rng(seed))
        for seed in range(200)
    ]
    # Of six decades, each gets its share.
    assert 0.4 < np.mean(np.array(penalties) < 1e-4) < 0.6


def test_random_start_is_the_same_for_the_same_seed(problems):
    problem = problems.PROBLEMS["cancer"]
    first, again, other = (
        problems.starting_values(problem, "random", seed) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert problems.starting_values(problem, "low", 0) == {
        "dropout": 0.02,
        "hidden_1_kernel_l2": 1e-6,
        "hidden_2_kernel_l2": 1e-6,
    }


@pytest.mark.parametrize(
    "name, sizes, width",
    [
        ("digits", (400, 300, 1097), 64),
        ("cancer", (150, 150, 269), 30),
        ("diabetes", (180, 120, 142), 10),
        ("friedman", (300, 200, 2000), 20),
    ],
)
def test_tables_are_cut_in_three(problems, name, sizes, width):
    pytest.importorskip("sklearn")
    problem = problems.PROBLEMS[name]
    parts = problem.load(0, None)
    assert [x.shape for x, _ in parts] == [(size, width) for size in sizes]
    assert [len(y) for _, y in parts] == [*sizes]
    assert all(np.isfinite(x).all() for x, _ in parts)
    if problem.loss == "mse":
        x, y = parts[0]
        assert y.shape == (sizes[0], 1)
        assert y.mean() == pytest.approx(0, abs=1e-5)
        assert y.std() == pytest.approx(1, abs=1e-5)
        assert x.std(0) == pytest.approx(1, abs=1e-4)
    rows = [{row.tobytes() for row in x} for x, _ in parts]
    assert not rows[0] & rows[1] | rows[0] & rows[2] | rows[1] & rows[2]
    for (x, _), (again, _) in zip(parts, problem.load(0, None)):
        assert np.array_equal(x, again)
    assert not np.array_equal(parts[0][0], problem.load(1, None)[0][0])


def test_windows_of_the_series_share_nothing_between_parts(problems):
    parts = problems.load_series(0, None)
    sizes = (300, 300, 2000)
    assert [x.shape for x, _ in parts] == [(size, 16, 1) for size in sizes]
    assert [y.shape for _, y in parts] == [(size, 1) for size in sizes]
    for x, y in parts:
        # What is to be foretold is the first number after a window.
        assert np.array_equal(y[:-16], x[16:, 0])
    # Noise makes every number of the series a different one.
    seen = [{*np.ravel(x), *np.ravel(y)} for x, y in parts]
    assert [len(numbers) for numbers in seen] == [size + 16 for size in sizes]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


def test_gaps_show_the_words_around_and_not_the_word_itself(problems, tmp_path):
    folder = tmp_path / "brown"
    folder.mkdir()
    prepositions = " x1 x2 x3 x4 x5 x6 ".join(problems.PREPOSITIONS)
    text = f"a b c d e g {prepositions} h i j k l m n\n"
    for part in ("train", "valid", "test"):
        (folder / f"{part}.txt").write_text(text)
    vocabulary = problems.language.load(folder).vocabulary
    words = vocabulary.encode(problems.PREPOSITIONS)
    for x, y in problems.load_gaps(0, tmp_path):
        assert x.shape == (len(problems.PREPOSITIONS), 2 * problems.WINDOW)
        assert sorted(y) == [*range(len(problems.PREPOSITIONS))]
        assert not np.isin(x, words).any()


def test_sample_is_drawn_by_the_seed_and_keeps_its_test_labels(problems):
    parts, noisy = (
        problems.load_sample(0, None),
        problems.load_wrong_labels(0, None),
    )
    assert [x.shape for x, _ in parts] == [
        (size, 28, 28, 1) for size in (1000, 500, 2000)
    ]
    for (x, y), (same, other), share in zip(parts, noisy, (0.3, 0.3, 0)):
        assert np.array_equal(x, same)
        assert np.mean(y != other) == pytest.approx(share, abs=0.06)
    assert not np.array_equal(parts[0][1], problems.load_sample(1, None)[0][1])


# The runs.


def test_every_start_and_network_is_asked_for(scoreboard):
    runs = [*scoreboard.list_runs(scoreboard.parse_arguments([]))]
    # Three methods from five starts, and ten networks.
    assert len(runs) == 3 * 11 * (3 * 5 + 10)
    assert len({scoreboard.key(run) for run in runs}) == len(runs)
    # Seed by seed, so that an interrupted board has all problems.
    assert [run["seed"] for run in runs] == sorted(r["seed"] for r in runs)
    options = ["--problems", "cancer", "--seeds", "2", "--variant", "paper"]
    options += ["--methods", "tuned", "apart", "--starts", "low", "high"]
    options += ["--settings", '{"preset": "paper"}']
    few = [*scoreboard.list_runs(scoreboard.parse_arguments(options))]
    assert len(few) == 2 * 2 * 2
    assert {run["variant"] for run in few} == {"paper"}
    assert few[0]["settings"] == {"preset": "paper"}


def test_networks_of_a_search_differ(scoreboard, problems):
    problem = problems.PROBLEMS["cancer"]
    values = [scoreboard.draw_values(problem, 0, n) for n in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


@pytest.fixture
def made(monkeypatch, scoreboard):
    """The runs that are made, in this process and without any training."""
    made = []

    def run(one):
        made.append(scoreboard.key(one))
        figures = {"problem": one["problem"], "method": one["method"]}
        return to_run(**figures, start=one["start"], seed=one["seed"], test=1)

    monkeypatch.setattr(scoreboard, "run", run)
    threads = types.SimpleNamespace(
        Pool=lambda *_, **__: multiprocessing.pool.ThreadPool(1)
    )
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: threads)
    return made


def test_what_is_done_is_not_run_again(scoreboard, report, made, tmp_path):
    path = tmp_path / "runs.jsonl"
    arguments = argparse.Namespace(
        problems=["cancer"],
        methods=["plain"],
        starts=["low", "high"],
        seeds=2,
        variant="",
        settings="{}",
        data_dir=None,
    )
    wanted = [*scoreboard.list_runs(arguments)]
    scoreboard.run_all(wanted[:3], path, 1)
    assert made == [scoreboard.key(run) for run in wanted[:3]]
    # The third is torn, and has to be run again.
    path.write_text(path.read_text()[:-20])
    made.clear()
    scoreboard.run_all(wanted, path, 1)
    assert sorted(made) == sorted(scoreboard.key(run) for run in wanted[2:])
    assert len(report.read(path)) == 4
    made.clear()
    before = path.read_text()
    scoreboard.run_all(wanted, path, 1)
    assert made == []
    assert path.read_text() == before


@pytest.mark.parametrize("method", ["plain", "apart"])
def test_run_is_measured(monkeypatch, scoreboard, problems, method):
    pytest.importorskip("sklearn")
    short = problems.PROBLEMS["cancer"]._replace(epochs=2)
    monkeypatch.setitem(problems.PROBLEMS, "cancer", short)
    asked = {"problem": "cancer", "method": method, "start": "low", "seed": 0}
    asked |= {"network": 0, "variant": ""}
    result = scoreboard.run({**asked, "settings": {}, "data_dir": None})
    assert {**result, **asked} == result
    assert json.loads(json.dumps(result)) == result
    assert 0.05 < result["test"] < 1
    assert 0.05 < result["validation"] < 1
    assert result["epochs"] == 2
    # Ten batches an epoch, and five tuning steps.
    assert result["updates"] == (20 if method == "plain" else 30)
    assert result["values"].keys() == short.hyperparameters.keys()
