"""Sphinx extension: docstrings as Keras writes them, Google style in Markdown.

napoleon knows the sections; this turns the Markdown inside them into
reStructuredText, and shows the arguments that Keras hides.
"""

import inspect
import re
import textwrap

import keras

SECTION = re.compile(r"^[A-Z][a-z]+( [a-z]+)?:$", re.MULTILINE)
# Their examples are not indented, and so no section for napoleon.
EXAMPLE = re.compile(r"^(Examples?:)$(?=\n\n\S)", re.MULTILINE)
FENCE = r" *```.*?^ *```$"
DOCTEST = r" *>>>.*?(?=\n *\n|\Z)"
TABLE = r" *\|[^\n]*(?:\n *\|[^\n]*)*"
# Indented text before the first section is a formula.
FORMULA = r"(?<=\n\n) {4}[^\n]+(?:\n {4}[^\n]+)*"
# A link, or a literal, which may be a word such as `<eos>`.
MARKUP = re.compile(r"\[([^\]]+)\]\((\S+?)\)|(?<!`)`([^`<]+|<[^`<>]+>)`(?!`)")
VARIADIC = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    # Before napoleon, which comes at the usual priority, 500.
    app.connect("autodoc-process-docstring", convert_docstring, priority=400)
    app.connect("autodoc-process-signature", find_signature)
    return {"parallel_read_safe": True}


def convert_docstring(app, what, name, obj, options, lines):
    """Converts a docstring in place."""
    text = EXAMPLE.sub(r".. rubric:: \1", "\n".join(lines))
    section = SECTION.search(text)
    start = section.start() if section else len(text)
    description = convert(text[:start], FENCE, DOCTEST, TABLE, FORMULA)
    sections = convert(text[start:], FENCE, DOCTEST, TABLE)
    lines[:] = (description + sections).split("\n")


def convert(text, *verbatim):
    """Converts Markdown, without looking for markup in code and tables."""
    pattern = re.compile(rf"^({'|'.join(verbatim)})", re.MULTILINE | re.DOTALL)
    # `split` gives prose at the even places and what matched at the odd ones.
    parts = pattern.split(text)
    parts[::2] = map(convert_prose, parts[::2])
    parts[1::2] = map(convert_block, parts[1::2])
    return "".join(parts)


def convert_prose(text):
    return MARKUP.sub(
        lambda m: f"``{m[3]}``" if m[3] else f"`{m[1]} <{m[2]}>`__", text
    )


def convert_block(text):
    indent = text[: len(text) - len(text.lstrip())]
    lines = textwrap.dedent(text).split("\n")
    if lines[0].startswith(">>>"):
        return text
    if lines[0].startswith("```"):
        code = to_code_block(lines[1:-1], lines[0].strip("`"))
        return textwrap.indent(code, indent)
    if lines[0].startswith("|"):
        return textwrap.indent(to_list_table(lines), indent)
    return to_code_block(lines)


def to_code_block(lines, language="text"):
    code = textwrap.indent("\n".join(lines), "    ")
    return f".. code-block:: {language}\n\n{code}\n"


def to_list_table(lines):
    cells = [
        f"    {' ' if column else '*'} - {convert_prose(cell.strip())}"
        for line in lines
        if set(line) - set("|-: ")
        for column, cell in enumerate(line.strip("|").split("|"))
    ]
    return "\n".join([".. list-table::", "    :header-rows: 1", "", *cells, ""])


def find_signature(app, what, name, obj, options, signature, annotation):
    """Shows a class's arguments, which the `__new__` of Keras's layers hides.

    A hyper layer hands its arguments on to the Keras layer behind it.
    """
    if what != "class":
        return None
    for base in obj.__mro__:
        if base in (keras.layers.Layer, object):
            break
        if "__init__" in vars(base):
            found = inspect.signature(base.__init__)
            arguments = list(found.parameters.values())[1:]
            if any(a.kind not in VARIADIC for a in arguments):
                return str(found.replace(parameters=arguments)), annotation
    return signature, annotation
