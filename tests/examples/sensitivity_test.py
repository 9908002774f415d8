import csv
import importlib
import pathlib
import runpy
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def run(monkeypatch, output, *arguments):
    path = EXAMPLES / "sensitivity.py"
    command = [str(path), "--quick", "--output", str(output), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    runpy.run_path(str(path), run_name="__main__")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def is_picture(path):
    content = path.read_bytes()
    return content.startswith(b"\x89PNG") and len(content) > 10_000


DONE_RUN = {
    "train:tuning": "2:1",
    "scales": "tuned",
    "seed": "0",
    "weight updates": "8",
    "tuning updates": "4",
    "best epoch": "2",
    "best validation loss": "2.25",
    "last validation loss": "2.25",
    "test loss": "2.28125",
    "test accuracy": "0.125",
    "seconds": "3.5",
    "CPU seconds an epoch": "1.5",
}


def write_interrupted(folder):
    """Writes one run, and a second cut off in the middle of its line."""
    rows = [",".join(DONE_RUN), ",".join(DONE_RUN.values()), "1:1,tuned,0,8,8"]
    (folder / "runs.csv").write_text("\n".join(rows))
    log = folder / "runs" / "2-1-scale-tuned-seed-0" / "log.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,val_loss\n0,2.5\n1,2.25\n")


@pytest.mark.slow
def test_images_go_on_where_they_stopped_and_make_table_and_pictures(
    monkeypatch, tmp_path, capsys
):
    write_interrupted(tmp_path)
    # The finished run belongs to both comparisons.
    arguments = ("--ratios", "2:1", "1:1", "--scales", "tuned")
    run(monkeypatch, tmp_path, *arguments)
    done, row = rows = read(tmp_path / "runs.csv")
    assert done == DONE_RUN
    assert row.keys() == done.keys()
    assert (row["train:tuning"], row["scales"]) == ("1:1", "tuned")
    # Two epochs of four batches.
    assert (row["weight updates"], row["tuning updates"]) == ("8", "8")
    assert 0 < float(row["test loss"]) < 10
    assert is_picture(tmp_path / "ratios.png")
    assert is_picture(tmp_path / "scales.png")
    text = capsys.readouterr().out
    assert "ratio 2:1, scales tuned, seed 0: done before" in text
    assert "ratio 1:1, scales tuned, seed 0: done before" not in text
    table = (tmp_path / "table.md").read_text()
    assert table in text
    lines = table.splitlines()[2:]
    first, second = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    )
    assert first[:5] == ["2:1", "tuned", "1", "8", "4"]
    assert second[:5] == ["1:1", "tuned", "1", "8", "8"]
    cells = read(tmp_path / "table.csv")
    assert [row["test loss"] for row in cells] == [
        row["test loss"] for row in rows
    ]

    # Started again, it finds its own run as well.
    run(monkeypatch, tmp_path, *arguments)
    text = capsys.readouterr().out
    assert "ratio 1:1, scales tuned, seed 0: done before" in text
    assert read(tmp_path / "runs.csv") == rows

    with pytest.raises(SystemExit, match="epochs 2, now 3"):
        run(monkeypatch, tmp_path, *arguments, "--epochs", "3")


@pytest.mark.slow
def test_language_keeps_a_fixed_scale(monkeypatch, tmp_path):
    arguments = ("--problem", "language", "--ratios", "--scales", "0.1")
    run(monkeypatch, tmp_path, *arguments)
    (row,) = read(tmp_path / "runs.csv")
    assert (row["train:tuning"], row["scales"]) == ("2:1", "0.1")
    # Two epochs of ten batches.
    assert (row["weight updates"], row["tuning updates"]) == ("20", "10")
    assert 1 < float(row["test perplexity"]) < 600
    (folder,) = (tmp_path / "runs").iterdir()
    log = read(folder / "log.csv")
    assert len(log) == 2
    for epoch in log:
        assert float(epoch["dropout_output_scale"]) == pytest.approx(0.1)
    assert log[0]["alpha"] != log[1]["alpha"]
    assert is_picture(tmp_path / "scales.png")
    assert not (tmp_path / "ratios.png").exists()


def test_table_has_means_and_spread_over_the_seeds():
    report = importlib.import_module("sensitivity_report")
    runs = [
        {
            "train:tuning": "2:1",
            "scales": "tuned",
            "seed": seed,
            "weight updates": "20",
            "best validation loss": loss,
        }
        for seed, loss in (("0", "0.5"), ("1", "0.7"))
    ]
    summary = {("2:1", "tuned"): report.to_figures(runs)}
    header, cells = report.to_cells(summary)
    assert header[2:] == ["seeds", "weight updates", "best validation loss"]
    assert cells == ["2:1", "tuned", "2", "20", "0.600 ± 0.141"]
    header, numbers = report.to_numbers(summary)
    assert header[-1] == "best validation loss deviation"
    assert numbers[2:6] == [2, None, 20, 0]
    assert numbers[6:] == pytest.approx([0.6, 0.02**0.5])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--ratios", "2"), "a ratio is two counts of steps"),
        (("--ratios", "0:1"), "counts of steps are at least 1"),
        (("--scales", "-1"), "a scale is 'tuned' or a positive number"),
        (("--ratios", "--scales"), "something to compare"),
        (("--epochs", "0"), "--epochs must be at least 1"),
    ],
)
def test_bad_option_gets_a_sentence(
    monkeypatch, tmp_path, capsys, arguments, message
):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, *arguments)
    assert message in capsys.readouterr().err
