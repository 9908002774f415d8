import csv
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


def test_images_make_table_and_pictures_and_go_on_where_they_stopped(
    monkeypatch, tmp_path, capsys
):
    run(monkeypatch, tmp_path, "--ratios", "2:1", "--scales")
    (first,) = read(tmp_path / "runs.csv")
    # Two epochs of four batches.
    assert (first["weight updates"], first["tuning updates"]) == ("8", "4")
    assert is_picture(tmp_path / "ratios.png")
    assert not (tmp_path / "scales.png").exists()
    assert "done before" not in capsys.readouterr().out

    # As if interrupted in the middle of writing the second run. The first
    # belongs to both comparisons.
    with (tmp_path / "runs.csv").open("a") as file:
        file.write("1:1,tuned,0,8,8,2,2.1")
    arguments = ("--ratios", "2:1", "1:1", "--scales", "tuned")
    run(monkeypatch, tmp_path, *arguments)
    rows = read(tmp_path / "runs.csv")
    assert rows[0] == first
    assert [row["train:tuning"] for row in rows] == ["2:1", "1:1"]
    assert (rows[1]["weight updates"], rows[1]["tuning updates"]) == ("8", "8")
    assert {row["scales"] for row in rows} == {"tuned"}
    text = capsys.readouterr().out
    assert "ratio 2:1, scales tuned, seed 0: done before" in text
    assert "ratio 1:1, scales tuned, seed 0: done before" not in text
    assert is_picture(tmp_path / "scales.png")
    table = (tmp_path / "table.md").read_text()
    assert table in text
    assert "| 2:1 | tuned | 1 | 8 | 4 |" in table
    assert "| 1:1 | tuned | 1 | 8 | 8 |" in table
    cells = read(tmp_path / "table.csv")
    assert [row["test loss"] for row in cells] == [
        row["test loss"] for row in rows
    ]

    with pytest.raises(SystemExit, match="epochs 2, now 3"):
        run(monkeypatch, tmp_path, *arguments, "--epochs", "3")


def test_language_keeps_a_fixed_scale(monkeypatch, tmp_path):
    arguments = ("--problem", "language", "--ratios", "--scales", "0.1")
    run(monkeypatch, tmp_path, *arguments)
    (row,) = read(tmp_path / "runs.csv")
    assert (row["train:tuning"], row["scales"]) == ("2:1", "0.1")
    assert 1 < float(row["test perplexity"]) < 600
    (folder,) = (tmp_path / "runs").iterdir()
    log = read(folder / "log.csv")
    assert len(log) == 2
    for epoch in log:
        assert float(epoch["dropout_output_scale"]) == pytest.approx(0.1)
    assert log[0]["alpha"] != log[1]["alpha"]
    assert is_picture(tmp_path / "scales.png")


def test_table_has_means_and_spread_over_the_seeds(monkeypatch):
    report = runpy.run_path(str(EXAMPLES / "sensitivity_report.py"))
    rows = [
        {
            "train:tuning": "2:1",
            "scales": "tuned",
            "seed": seed,
            "best validation loss": loss,
        }
        for seed, loss in (("0", "0.5"), ("1", "0.7"))
    ]
    summary = report["summarize"](rows)
    assert summary["2:1", "tuned"]["seeds"] == (2, None)
    mean, deviation = summary["2:1", "tuned"]["best validation loss"]
    assert mean == pytest.approx(0.6)
    assert deviation == pytest.approx(0.02**0.5)
    last = report["to_markdown"](summary).splitlines()[-1]
    assert last == "| 2:1 | tuned | 2 | 0.600 ± 0.141 |"


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
