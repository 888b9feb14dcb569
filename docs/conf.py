"""Sphinx settings: `make docs` builds the site into docs/_build."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

import notebooks  # noqa: E402

import whiten_plugins  # noqa: E402

project = 'whiten_plugins'
author = 'the whiten_plugins authors'
copyright = f'2026, {author}'
release = version = whiten_plugins.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.mathjax',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
]
myst_enable_extensions = ['colon_fence', 'dollarmath', 'deflist']
myst_heading_anchors = 3
exclude_patterns = ['_build']
# Included files link to others of the repository, which are no pages here;
# tests/docs/test_links.py follows these links.
suppress_warnings = ['myst.xref_missing']

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = 'furo'
html_title = 'whiten_plugins'
copybutton_exclude = '.linenos, .gp, .go'


def setup(app):
    """Write the notebooks as pages before anything is read."""
    app.connect('builder-inited', notebooks.write_pages)
