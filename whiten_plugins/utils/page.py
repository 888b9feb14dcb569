"""What the pages for a browser have in common."""

from __future__ import annotations

from importlib.resources import files


def base_style() -> str:
    """The style sheet that every page begins with: colours, type, header,
    notes, tables and footer.
    """
    return files(__package__).joinpath('page.css').read_text('utf-8')
