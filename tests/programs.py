"""Programs that tests run in a process of their own."""

import os
import pathlib
import subprocess
import sys
import traceback

ROOT = pathlib.Path(__file__).parents[1]


def run_program(module, *arguments, **environment):
    """Runs a module of the tests as a program, which must succeed.

    Args:
        module: The imported module.
        *arguments: Strings or paths, the program's arguments.
        **environment: Strings, environment variables beside this process's.
    """
    process = subprocess.run(
        [sys.executable, "-m", module.__name__, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]


def start_in_fork(function, *arguments):
    """Calls a function in a fork of this process, as a program does a case.

    TensorFlow may be forked as long as it has been imported only, which takes
    as long as a case.

    Args:
        function: Callable.
        *arguments: Its arguments.

    Returns:
        Integer, the id of the new process. It exits with 1 if the function
        fails.
    """
    process = os.fork()
    if process == 0:
        status = 1
        try:
            function(*arguments)
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        # The threads of TensorFlow's devices may outlive the interpreter.
        os._exit(status)
    return process
