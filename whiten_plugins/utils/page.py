"""What the pages for a browser have in common."""

from __future__ import annotations

from importlib.resources import files


def base_style() -> str:
    """Return the style sheet that every page begins with.

    It covers colours, type, header, notes, tables and footer.
    """
    return files(__package__).joinpath('page.css').read_text('utf-8')
