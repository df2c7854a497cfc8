"""Sphinx configuration: `make docs`, or `sphinx-build -W docs out/docs`.

The formula book, the commands, the laws and the examples are written into docs/generated before
each build, so that they cannot be out of date. Mathematics becomes MathML, which browsers draw
without a network.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

import costmodel  # noqa: E402

project = "costmodel"
author = "the costmodel authors"
copyright = author
version = release = costmodel.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "plain_docstrings",
    "mathml",
    "generated_pages",
]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"costmodel {version}"
html_static_path = ["static"]
html_css_files = ["mathml.css"]
html_show_sourcelink = False
templates_path: list[str] = []
exclude_patterns = ["extensions"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

highlight_language = "none"
smartquotes = False  # "--without" is an option, not a dash
