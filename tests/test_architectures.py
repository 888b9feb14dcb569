"""Every tool works for every architecture of the toolkits, or says in one
line why not."""

import pytest

from tests.architectures import TOOLS, architectures, outcomes
from whiten_plugins.utils.terminal import add_row, make_table

ALL = [
    (package, name)
    for package in ('mmdet', 'mmseg')
    for name in architectures(package)
]


@pytest.fixture(scope='module')
def table(request):
    """Shows what each tool said, at the end."""
    from rich.console import Console

    shown = make_table('architecture', 'config', *TOOLS)
    yield shown
    capture = request.config.pluginmanager.getplugin('capturemanager')
    with capture.global_and_fixture_disabled():
        Console(width=200).print(shown)


# Alarms of its own bound each tool.
@pytest.mark.timeout(0)
@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(('package', 'name'), ALL)
def test_every_tool_works_or_says_why_not(package, name, table):
    found = outcomes(package, name)
    said = ' '.join([found.pop('config'), found.pop('model', '')])
    cells = [found.get(tool, '') for tool in TOOLS]
    add_row(table, f'{package} {name}', said, *cells)
    for text in cells:
        assert not text.startswith('FAILED')
        assert '\n' not in text.strip() and len(text) < 600
