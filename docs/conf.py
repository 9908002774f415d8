"""Configuration of the documentation; `python -m sphinx -b html docs ...`."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [FOLDER, os.path.dirname(FOLDER)]

import keras_stn  # noqa: E402

project = "keras_stn"
author = "The keras_stn developers"
copyright = author
version = release = keras_stn.__version__

extensions = [
    "keras_docstrings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autoclass_content = "class"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autosummary_generate = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
# Like Keras's, these docstrings name types in their sentences.
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    ("Input shape", "returns_style"),
    ("Output shape", "returns_style"),
    ("Reference", "returns_style"),
]

html_theme = "pydata_sphinx_theme"
html_title = "keras_stn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": [],
    "footer_end": [],
}
# Only the API reference has pages below it.
html_sidebars = {"*": []}
