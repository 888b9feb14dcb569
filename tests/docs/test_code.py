"""Code on the pages runs, and is what a reader would type."""

import pytest

from tests.docs.pages import PAGES, ROOT, blocks
from whiten_plugins.config import build_model, load_config

torch = pytest.importorskip('torch')

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
            file.write_text(block.text)
            with torch.device('meta'):
                build_model(load_config(file))
        else:
            _run(block, page, names)
