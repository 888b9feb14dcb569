"""Notebooks run, and are stored with what they put out."""

import json
import sys
from types import SimpleNamespace

import pytest

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / 'docs' / 'tutorials').glob('*.ipynb'))
by_name = pytest.mark.parametrize(
    'path', NOTEBOOKS, ids=lambda path: path.stem
)


def code_cells(path):
    cells = json.loads(path.read_text())['cells']
    return [cell for cell in cells if cell['cell_type'] == 'code']


@by_name
def test_outputs_are_stored_small_and_of_one_run(path):
    cells = code_cells(path)
    counts = [cell['execution_count'] for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert any('image/svg+xml' in o.get('data', {}) for o in outputs)
    assert 'error' not in {output['output_type'] for output in outputs}
    assert path.stat().st_size < 300_000


@by_name
def test_a_notebook_becomes_a_page(path, tmp_path, monkeypatch):
    pytest.importorskip('sphinx')
    monkeypatch.syspath_prepend(ROOT / 'docs')
    notebooks = pytest.importorskip('notebooks')
    (tmp_path / 'tutorials').mkdir()
    copy = tmp_path / 'tutorials' / path.name
    copy.write_bytes(path.read_bytes())
    notebooks.write_pages(SimpleNamespace(srcdir=tmp_path))
    sys.modules.pop('notebooks')
    text = copy.with_suffix('.md').read_text()
    for cell in code_cells(path):
        assert ''.join(cell['source']) in text
    pictures = list(copy.parent.glob(f'{path.stem}_*.svg'))
    assert pictures and all(f'![]({p.name})' in text for p in pictures)


@pytest.mark.slow
@pytest.mark.timeout(900)
@by_name
def test_a_notebook_runs_from_top_to_bottom(path, monkeypatch):
    nbclient = pytest.importorskip('nbclient')
    nbformat = pytest.importorskip('nbformat')
    pytest.importorskip('ipykernel')
    pytest.importorskip('mmdet')
    monkeypatch.setenv(
        'MPLBACKEND', 'module://matplotlib_inline.backend_inline'
    )
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(
        notebook, timeout=800, resources={'metadata': {'path': str(ROOT)}}
    ).execute()
    outputs = [o for cell in notebook.cells for o in cell.get('outputs', [])]
    kinds = [set(output.get('data', {})) for output in outputs]
    assert sum('image/svg+xml' in kind for kind in kinds) == 2
