import csv
import json
import math
import pathlib
import runpy
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NAMES = {
    "dropout_output",
    "dropout_hidden",
    "dropout_input",
    "dropout_embedding",
    "dropconnect",
    "alpha",
    "beta",
}
SMALL = (
    *("--units", "8", "--batch-size", "4", "--length", "8"),
    *("--train-words", "300", "--validation-words", "100"),
    *("--test-words", "100", "--epochs", "2", "--warmup-epochs", "1"),
)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the script with a tiny network; returns the folder it wrote."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(name, *arguments):
        path = EXAMPLES / "language_model.py"
        output = tmp_path / name
        command = [str(path), *SMALL, "--output", str(output), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(path), run_name="__main__")
        return output

    return run


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tuned_run_and_its_baseline_write_what_they_say(run, capsys):
    tuned = run("tuned", "--hyper-learning-rate", "0.1")
    log = read(tuned / "log.csv")
    assert len(log) == 2
    values = json.loads((tuned / "values.json").read_text())
    assert values.keys() == NAMES
    # Only the second epoch tunes.
    for name in NAMES:
        assert float(log[0][name]) == pytest.approx(0.05, abs=1e-6)
        assert float(log[1][name]) != pytest.approx(0.05, abs=1e-6)
    assert (tuned / "schedules.png").stat().st_size > 10_000
    assert "dropconnect" in capsys.readouterr().out
    fixed = run("final", "--baseline", str(tuned / "values.json"))
    assert_has_no_schedule(fixed)


def assert_has_no_schedule(fixed):
    (figures,) = read(fixed / "figures.csv")
    assert 1 < float(figures["test perplexity"]) < math.inf
    assert NAMES.isdisjoint(read(fixed / "log.csv")[0])
    assert not (fixed / "schedules.png").exists()


@pytest.mark.slow
def test_baseline_stays_at_the_start(run):
    assert_has_no_schedule(run("start", "--baseline", "start"))


@pytest.mark.slow
def test_runs_from_several_starts_share_a_picture(run):
    folder = run("starts", "--starts", "0.3", "0.7", "--random-lengths")
    for start in (0.3, 0.7):
        log = read(folder / f"from-{start}" / "log.csv")
        assert float(log[0]["dropout_output"]) == pytest.approx(start)
    assert (folder / "starts.png").stat().st_size > 5_000


def test_missing_values_of_a_baseline_are_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("fixed", "--baseline", "missing.json")
    message = "--baseline must be 'start' or a values.json"
    assert message in capsys.readouterr().err
