import argparse
import importlib
import json
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_table(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("run_table")


def test_runs_are_found_again_in_their_file(run_table, tmp_path):
    runs = run_table.Runs(tmp_path / "runs.csv")
    assert runs.find({"seed": 0}) is None
    first = runs.add({"row": "a, b", "seed": 0, "loss": 0.1, "note": ""})
    second = runs.add({"row": "a, b", "seed": 1, "loss": 0.2, "note": ""})
    assert first == {"row": "a, b", "seed": "0", "loss": "0.1", "note": ""}
    for known in (runs, run_table.Runs(runs.path)):
        assert known.rows == [first, second]
        assert known.find({"row": "a, b", "seed": 1}) == second
        assert known.find({"row": "a, b", "seed": 2}) is None


@pytest.mark.parametrize("torn", ["1,0.", "1", ""])
def test_torn_last_line_gives_way_to_the_next_run(run_table, tmp_path, torn):
    path = tmp_path / "runs.csv"
    path.write_text(f"seed,loss\n0,0.1\n{torn}")
    runs = run_table.Runs(path)
    assert runs.rows == [{"seed": "0", "loss": "0.1"}]
    runs.add({"seed": 1, "loss": 0.25})
    assert path.read_text() == "seed,loss\n0,0.1\n1,0.25\n"


def test_torn_header_is_written_anew(run_table, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("seed,lo")
    run_table.Runs(path).add({"seed": 1, "loss": 0.25})
    assert path.read_text() == "seed,loss\n1,0.25\n"


def test_runs_of_other_settings_are_refused(run_table, tmp_path):
    path = tmp_path / "settings.json"
    arguments = argparse.Namespace(rate=0.1, units=None, seeds=1)
    run_table.check_settings(arguments, path, free=("seeds",))
    assert json.loads(path.read_text()) == {"rate": 0.1, "units": None}
    arguments.seeds = 3
    run_table.check_settings(arguments, path, free=("seeds",))
    arguments.rate = 0.2
    with pytest.raises(SystemExit, match=r"Received: rate 0\.1, now 0\.2$"):
        run_table.check_settings(arguments, path, free=("seeds",))
    assert json.loads(path.read_text())["rate"] == 0.1


def test_table_is_saved_as_aligned_markdown_and_as_csv(run_table, tmp_path):
    table = [["row", "loss"], ["fixed", "0.1 ± 0.2"]]
    text = run_table.save_table(table, tmp_path / "table.md")
    assert text.splitlines() == [
        "| row   | loss      |",
        "|-------|-----------|",
        "| fixed | 0.1 ± 0.2 |",
    ]
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == text
    path = tmp_path / "table.csv"
    assert path.read_text(encoding="utf-8") == "row,loss\nfixed,0.1 ± 0.2\n"
    figures = [["row", "loss", "deviation"], ["fixed", 0.1, None]]
    run_table.save_table(table, tmp_path / "table.md", figures)
    assert path.read_text() == "row,loss,deviation\nfixed,0.1,\n"
