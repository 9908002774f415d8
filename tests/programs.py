"""Programs that tests run in a process of their own."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def run_program(module, *arguments):
    """Runs a module of the tests as a program, which must succeed.

    Args:
        module: The imported module.
        *arguments: Strings or paths, the program's arguments.
    """
    process = subprocess.run(
        [sys.executable, "-m", module.__name__, *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
