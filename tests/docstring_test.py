"""Runs the examples of the docstrings and of the documentation's pages."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import keras
import pytest

import keras_stn

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted((pathlib.Path(__file__).parents[1] / "docs").glob("*.md"))
# A block of code, and the block of its output if one follows at once.
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$"
    r"(?:\n\n```output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def find_modules():
    names = [
        module.name
        for module in pkgutil.walk_packages(keras_stn.__path__, "keras_stn.")
    ]
    return [importlib.import_module(name) for name in names]


def find_examples():
    return [
        pytest.param(example, id=example.name)
        for module in find_modules()
        for example in doctest.DocTestFinder(exclude_empty=True).find(module)
        if example.examples
    ]


@pytest.fixture(autouse=True)
def clean_folder(tmp_path, monkeypatch):
    """Examples write their files elsewhere and leave no policy behind."""
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("example", find_examples())
def test_docstring_examples_run(example):
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    result = runner.run(example, out=report.append)
    assert not result.failed, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_examples_run(page, capsys):
    text = page.read_text(encoding="utf-8")
    namespace = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        # Blank lines in front let a traceback tell the line in the page.
        lines_before = text.count("\n", 0, block.start("code"))
        code = compile("\n" * lines_before + block["code"], page, "exec")
        capsys.readouterr()
        exec(code, namespace)
        output = capsys.readouterr().out
        if block["output"] is not None:
            assert doctest.OutputChecker().check_output(
                block["output"], output, OPTIONS
            ), f"{page}:{lines_before} printed:\n{output}"


def test_every_block_is_found():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = list(BLOCK.finditer(text))
        assert len(blocks) == text.count("```python")
        outputs = [b for b in blocks if b["output"] is not None]
        assert len(outputs) == text.count("```output")
