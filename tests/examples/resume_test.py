import pathlib
import runpy
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "resume.py"


@pytest.mark.slow
def test_it_kills_itself_and_resumes_to_the_same_end(
    monkeypatch, tmp_path, capfd
):
    arguments = [str(SCRIPT), "--output", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    text = capfd.readouterr().out
    assert "The process is killed." in text
    assert "Training resumes at epoch 3, step 5." in text
    assert "The two runs are equal, bit for bit" in text
