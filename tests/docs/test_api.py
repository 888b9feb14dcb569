"""The page of the API has every public name, and no other."""

import re

import whiten_plugins
from tests.docs.pages import ROOT
from whiten_plugins.norms import __all__ as norms


def test_every_public_name_is_on_the_page():
    text = (ROOT / 'docs' / 'api' / 'index.md').read_text()
    named = re.findall(r'^\.\. (?:auto\w+|py:data):: (\w+)', text, re.M)
    assert len(named) == len(set(named))
    assert set(named) == {*norms, *whiten_plugins._PUBLIC}
