"""Searches that are killed, and searches by several processes."""

import os
import socket
import subprocess
import sys

import pytest

from tests.programs import ROOT
from tests.tuners import search_program


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", search_program.__name__, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0):
    """The lines about trials that a program printed."""
    out, error = process.communicate(timeout=500)
    assert process.returncode == code, error[-3000:]
    return [line for line in out.splitlines() if " COMPLETED " in line]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    whole = start(tmp_path / "whole")
    killed = start(tmp_path / "killed", 1)
    finish(killed, search_program.EXIT_CODE)
    resumed = finish(start(tmp_path / "killed"))
    assert len(resumed) == 2
    assert resumed == finish(whole)
    schedules = [*tmp_path.rglob("schedule.csv")]
    lengths = {len(path.read_text().splitlines()) for path in schedules}
    # The header, the start and three epochs, also of the one that was killed.
    assert lengths == {5}


@pytest.mark.slow
def test_two_workers_share_a_search(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        start(
            tmp_path,
            KERASTUNER_TUNER_ID=name,
            KERASTUNER_ORACLE_IP="127.0.0.1",
            KERASTUNER_ORACLE_PORT=port,
        )
        for name in ("chief", "tuner0", "tuner1")
    ]
    chief, *workers = processes
    for worker in workers:
        finish(worker)
    trials = finish(chief)
    assert sorted(line.split()[0] for line in trials) == ["0", "1"]
    assert all("'dropout': 0." in line for line in trials)
    trained = [
        len((tmp_path / f"{name}.txt").read_text().splitlines())
        for name in ("tuner0", "tuner1")
        if (tmp_path / f"{name}.txt").exists()
    ]
    assert sum(trained) == 2
    assert not (tmp_path / "chief.txt").exists()


@pytest.mark.slow
def test_replicas_share_a_trial(tmp_path):
    lines = finish(start(tmp_path, 0, 2))
    assert sorted(line.split()[0] for line in lines) == ["0", "1"]
    assert all("'dropout': 0." in line for line in lines)
