"""Draw ``docs/reliability.md`` from what the tests held.

``python -m tests.reliability.page`` writes it anew, as ``make
test-reliability`` does at its end.
"""

import json
from pathlib import Path

from tests.reliability.areas import AREAS
from whiten_plugins.utils.files import write_texts

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'reliability'
PAGE = ROOT / 'docs' / 'reliability.md'

HEAD = """# Reliability

What holds under load, faults and hostile input, and the figure behind each
promise. Every line is a test under `tests/reliability/`, and the figures are
what it wrote when it last ran:

```bash
make test-reliability                    # everything, and this page
python -m pytest tests/reliability       # the fast part, as in make test
```
"""


def render():
    """Return the text of the page."""
    parts = [HEAD]
    for area, (title, text) in AREAS.items():
        parts.append(f'## {title}\n\n{text.strip()}\n')
        rows = read(area)
        if rows:
            parts.append(_table(rows))
    return '\n'.join(parts)


def read(area):
    """Read what the tests of an area held."""
    file = RESULTS / f'{area}.json'
    return json.loads(file.read_text('utf-8')) if file.exists() else []


def keep(area, found):
    """Keep what was held, in place of what the same command held before."""
    what = found['promise'], found['command']
    others = [v for v in read(area) if (v['promise'], v['command']) != what]
    rows = sorted([*others, found], key=lambda row: row['command'])
    text = json.dumps(rows, indent=1, ensure_ascii=False) + '\n'
    write_texts({RESULTS / f'{area}.json': text})


def _table(rows):
    lines = ['| held | test | |', '|---|---|---|']
    for row in rows:
        text = row['promise'].format(**row['figures'])
        test = row['command'].rpartition('::')[2]
        machine = row['machine']
        lines.append(
            f'| {text.replace("|", "&#124;")} | `{test}` '
            f'| {row["seconds"]} s, {machine["date"]} |'
        )
    commands = [row['command'] for row in rows]
    path = next(c.split()[-1].split('::')[0] for c in commands if '::' in c)
    chips = sorted({row['machine']['chip'] for row in rows})
    versions = sorted({row['machine']['torch'] for row in rows})
    command = f"python -m pytest -m '' {path}"
    return (
        '\n'.join(lines) + f'\n\n{", ".join(chips)}; torch '
        f'{", ".join(versions)}:\n\n```bash\n{command}\n```\n'
    )


if __name__ == '__main__':
    PAGE.write_text(render(), encoding='utf-8')
