"""The pages that a reader meets, and the code on them."""

import re
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r'^( *)```(\w+)\n(.*?)^\1```$', re.M | re.S)

PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ('*.md', 'docs/**/*.md', '*/**/README.md')
    for path in ROOT.glob(pattern)
    if not any(
        part.startswith(('.', '_build', 'build', 'node_modules'))
        for part in path.relative_to(ROOT).parts
    )
    # Written from a notebook, which a test of its own runs.
    and not path.with_suffix('.ipynb').exists()
)


class Block(NamedTuple):
    """A fenced block of code: its language, its first line, its text."""

    language: str
    line: int
    text: str


def blocks(page: Path, language: str) -> list[Block]:
    """List the blocks of a page that are in a language."""
    text = (ROOT / page).read_text()
    return [
        Block(
            match[2], text.count('\n', 0, match.start()) + 2, dedent(match[3])
        )
        for match in _FENCE.finditer(text)
        if match[2] == language
    ]
