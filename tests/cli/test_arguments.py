"""The command line that both tools share."""

from argparse import ArgumentParser

import pytest

from whiten_plugins.cli.arguments import add_common


@pytest.fixture
def parser():
    parser = ArgumentParser()
    add_common(parser)
    return parser


def test_options_keep_the_types_of_mmengine(parser):
    args = parser.parse_args(
        ['net.py', '--cfg-options', 'a.b=1', 'c=[x,2.5]', 'd=a=b']
    )
    assert args.cfg_options == {'a.b': 1, 'c': ['x', 2.5], 'd': 'a=b'}


@pytest.mark.parametrize('pair', ['norm_cfg.type', 'a=[1,2'])
def test_malformed_option_names_itself(parser, pair, capsys):
    with pytest.raises(SystemExit) as exit:
        parser.parse_args(['net.py', '--cfg-options', 'a=1', pair])
    assert exit.value.code == 2
    assert f'expected KEY=VALUE, got {pair!r}' in capsys.readouterr().err
