"""Code on the pages runs, and is what a reader would type."""

import argparse
import shlex
from importlib import import_module

import pytest
import torch

from tests.docs.pages import PAGES, ROOT, blocks
from whiten_plugins import cli
from whiten_plugins.config import build_model, load_config

WITH_PYTHON = [page for page in PAGES if blocks(page, 'python')]


def _run(block, page, names):
    # Padded, so that a traceback names the line of the page.
    code = '\n' * (block.line - 1) + block.text
    exec(compile(code, ROOT / page, 'exec'), names)


@pytest.mark.parametrize('page', WITH_PYTHON, ids=str)
def test_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {'__name__': 'page'}
    for block in blocks(page, 'python'):
        if '_base_' in block.text:
            pytest.importorskip('mmdet')
            file = tmp_path / f'config_{block.line}.py'
            # A file of configs/ is shown as it stands in its folder.
            file.write_text(block.text.replace("'../", f"'{ROOT}/configs/"))
            with torch.device('meta'):
                build_model(load_config(file))
        else:
            _run(block, page, names)


def _commands(page):
    """The ``whiten`` commands on a page, as lists of arguments."""
    for block in blocks(page, 'bash'):
        text = block.text.replace('\\\n', ' ')
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ['whiten'] and len(words) > 1:
                yield words[1:]


COMMANDS = sorted(
    {(str(page), *words) for page in PAGES for words in _commands(page)}
)


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_commands_on_the_pages_have_arguments_that_exist(words):
    _, command, *arguments = words
    assert command in cli.COMMANDS
    module = import_module(f'whiten_plugins.cli.{command.replace("-", "_")}')
    parser = argparse.ArgumentParser()
    module.configure(parser)
    parser.parse_args(arguments)
