"""Links between the pages lead somewhere."""

import re

import pytest

from tests.docs.pages import PAGES, ROOT

_LINK = re.compile(r'\]\((?!https?://|#)([^)#\s]+)')
_INCLUDE = re.compile(r'```\{include\} (\S+)')


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_every_relative_link_names_a_file(page):
    path = ROOT / page
    text = path.read_text()
    targets = _LINK.findall(text) + _INCLUDE.findall(text)
    assert not [t for t in targets if not (path.parent / t).exists()]
