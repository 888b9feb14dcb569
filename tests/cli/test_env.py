"""``whiten env`` prints what a report of a problem needs."""

import torch

from whiten_plugins import __version__, cli


def test_versions_and_backends_are_printed_a_line_each(capsys):
    assert cli.main(['env']) == 0
    out = capsys.readouterr().out
    assert __version__ in out
    assert torch.__version__.partition('+')[0] in out
    assert 'backend on the CPU' in out
