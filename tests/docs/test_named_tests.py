"""Tests that the pages name as evidence are there."""

import re

import pytest

from tests.docs.pages import PAGES, ROOT

_NAMED = re.compile(r'\[`(test_\w+)`\]\(([^)]+)\)')
_FILES = re.compile(r'`(tests/[\w/]+\.py)`')
_FOUND = {page: _NAMED.findall((ROOT / page).read_text()) for page in PAGES}


@pytest.mark.parametrize(
    'page', [page for page, named in _FOUND.items() if named], ids=str
)
def test_a_named_test_stands_in_the_file_of_its_link(page):
    for name, target in _FOUND[page]:
        text = ((ROOT / page).parent / target).read_text()
        assert f'def {name}(' in text, (name, target)


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_files_of_tests_that_a_page_names_are_there(page):
    named = _FILES.findall((ROOT / page).read_text())
    assert not [name for name in named if not (ROOT / name).is_file()]
