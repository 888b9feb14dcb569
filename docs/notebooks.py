"""Notebooks as pages: what is stored in them, outputs included."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from sphinx.application import Sphinx

_PICTURES = {'image/svg+xml': 'svg', 'image/png': 'png'}


def write_pages(app: Sphinx) -> None:
    """Write each notebook of ``tutorials`` as a Markdown page beside it."""
    for path in sorted(Path(app.srcdir, 'tutorials').glob('*.ipynb')):
        cells = json.loads(path.read_text('utf-8'))['cells']
        parts = []
        for number, cell in enumerate(cells):
            text = ''.join(cell['source'])
            if cell['cell_type'] == 'markdown':
                parts.append(text)
                continue
            parts.append(f'```python\n{text}\n```')
            for output in cell['outputs']:
                parts += _output(output, path, number)
        source = f'% Written from {path.name}\n\n'
        page = path.with_suffix('.md')
        _write(page, (source + '\n\n'.join(parts) + '\n').encode())


def _output(output: dict, path: Path, number: int) -> list[str]:
    data = output.get('data', {})
    for kind, suffix in _PICTURES.items():
        if kind in data:
            content = ''.join(data[kind])
            name = f'{path.stem}_{number}.{suffix}'
            _write(
                path.with_name(name),
                base64.b64decode(content)
                if suffix == 'png'
                else content.encode(),
            )
            return [f'![]({name})']
    text = ''.join(output.get('text', data.get('text/plain', '')))
    return [f'```text\n{text.rstrip()}\n```'] if text.strip() else []


def _write(path: Path, content: bytes) -> None:
    """Write what is new: Sphinx builds again what changes."""
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
