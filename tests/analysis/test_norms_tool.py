"""`whiten norms` prints every norm, warns, and ends with one line."""

import runpy
import sys
from pathlib import Path

import pytest

from whiten_plugins.placement import backbones  # noqa: F401  registers them

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')
from .test_norms import SEGMENTOR

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]


TOOL = Path(__file__).parents[2] / 'tools' / 'print_norms.py'


def _run_tool(monkeypatch, *arguments):
    """Runs the tool; returns its exit code."""
    monkeypatch.setattr(sys, 'argv', ['print_norms.py', *arguments])
    try:
        runpy.run_path(str(TOOL), run_name='__main__')
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        SEGMENTOR.replace('frozen_stages=1', 'frozen_stages=-1').replace(
            'norm_eval=True', 'norm_eval=False'
        )
    )
    return str(path)


def test_the_tool_prints_every_norm(monkeypatch, capsys, config_file):
    assert _run_tool(monkeypatch, config_file) == 0
    printed = capsys.readouterr()
    lines = [line.split() for line in printed.out.splitlines() if line]
    header, *rows = lines[:28]
    assert header == [
        *('name', 'type', 'channels', 'groups', 'statistics', 'training'),
        *('put', 'there', 'by'),
    ]
    assert {tuple(row[:2]) for row in rows} >= {
        ('backbone.stem.7', 'SW'),
        ('decode_head.bottleneck.bn', 'SN'),
    }
    layer = next(row for row in rows if row[0] == 'backbone.layer3.0.bn1')
    assert layer == [
        *('backbone.layer3.0.bn1', 'SW', '32', '8', '×', '4', 'bw,', 'iw'),
        *('trainable', 'model.backbone.whiten_at=sw14'),
    ]
    totals = {tuple(line) for line in lines[28:]}
    assert ('3', 'SN', 'trainable', 'model.decode_head.norm_cfg') in totals
    assert printed.err == ''


def test_the_tool_warns_and_takes_cfg_options(
    monkeypatch, capsys, config_file
):
    options = ('--cfg-options', 'model.decode_head.norm_cfg.type=SW')
    assert _run_tool(monkeypatch, config_file, *options) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith('warning: model.decode_head.norm_cfg: ')
    assert printed.err.count('\n') == 1
    totals = [line.split() for line in printed.out.splitlines()]
    assert ['3', 'SW', 'trainable', 'model.decode_head.norm_cfg'] in totals


@pytest.mark.parametrize(
    'options, message',
    [
        (
            ['model.backbone.whiten_at=sw15'],
            "model.backbone.whiten_at='sw15' is no preset",
        ),
        (['nonsense'], 'expected KEY=VALUE'),
    ],
)
def test_the_tool_ends_with_one_line_and_code_2(
    monkeypatch, capsys, config_file, options, message
):
    arguments = (config_file, '--cfg-options', *options)
    assert _run_tool(monkeypatch, *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('print_norms.py: error: ') and message in last


def test_the_tool_names_a_missing_config(monkeypatch, capsys):
    assert _run_tool(monkeypatch, 'no_such.py') == 2
    assert 'no such config file: no_such.py' in capsys.readouterr().err
