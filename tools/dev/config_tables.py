"""Writes what repeats the table of intent: metafiles and README tables.

``configs/intent.csv`` says of each config which norms it has, how it trains
and what a paper reports of it. Made from it are ``configs/*/metafile.yml``,
``model-index.yml`` and the tables of the READMEs in ``configs``, each between
two comments::

    <!-- table: SN Table 5 | backbone, head, box AP, config -->
    <!-- end of table -->

The first one names the rows, by the column ``table``, and the columns. After
``by`` stand those that become columns of links::

    <!-- table: grid | network, data, schedule by norm -->
"""

import argparse
import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MARKED = re.compile(
    r'(<!-- table: (?P<rows>[^|]+?) \| (?P<columns>.+?) -->\n)'
    r'.*?'
    r'(<!-- end of table -->)',
    re.DOTALL,
)
Row = dict[str, str]

# Title and paper of each folder.
COLLECTIONS = {
    'sn': (
        'Switchable Normalization',
        'Switchable Normalization for Learning-to-Normalize Deep '
        'Representation',
        'https://arxiv.org/abs/1907.10473',
    ),
    'sw': (
        'Switchable Whitening',
        'Switchable Whitening for Deep Representation Learning',
        'https://arxiv.org/abs/1904.09739',
    ),
    'gw': (
        'Group Whitening',
        'Group Whitening: Balancing Learning Efficiency and Representational '
        'Capacity',
        'https://arxiv.org/abs/2009.13333',
    ),
    'bw': (
        'Batch Whitening',
        'Iterative Normalization: Beyond Standardization towards Efficient '
        'Whitening',
        'https://arxiv.org/abs/1904.03441',
    ),
    'dg': (
        'Domain generalization',
        'Two at Once: Enhancing Learning and Generalization Capacities via '
        'IBN-Net',
        'https://arxiv.org/abs/1807.09441',
    ),
}
# Metric and task of the columns of results.
RESULTS = {
    'box_AP': ('box AP', 'Object Detection'),
    'mask_AP': ('mask AP', 'Instance Segmentation'),
    'mIoU': ('mIoU', 'Semantic Segmentation'),
    'mIoU_ms': ('mIoU(ms)', 'Semantic Segmentation'),
}
HEADS = ('shared_head', 'neck', 'bbox_head', 'mask_head')
# As tests/configs/grid.py explains the cells.
NORM = re.compile(r'(\d+) ([A-Za-z]+)(\d?)(?:/\d+)?(†?)(?:@(\S+?))?(?: \+ |$)')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing, and fail if a file is not up to date',
    )
    parser.add_argument(
        '--root', type=Path, default=ROOT, help='repository (default: this)'
    )
    args = parser.parse_args()
    try:
        made = generate(args.root)
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    stale = [
        path
        for path, text in made.items()
        if not path.is_file() or path.read_text(encoding='utf-8') != text
    ]
    if args.check and stale:
        names = ', '.join(str(path.relative_to(args.root)) for path in stale)
        sys.exit(
            f'{names}: not what configs/intent.csv says; run '
            'python tools/dev/config_tables.py'
        )
    for path in stale:
        path.write_text(made[path], encoding='utf-8')
        print(f'written: {path.relative_to(args.root)}')


def generate(root: Path) -> dict[Path, str]:
    """Make the text of every file that repeats the table of intent.

    Args:
        root: the repository.

    Raises:
        ValueError: if the table, the configs and the READMEs do not fit
            together; it says where.
    """
    configs = root / 'configs'
    rows = read_rows(configs)
    folders = list(dict.fromkeys(folder(row) for row in rows))
    made = {}
    for name in folders:
        own = [row for row in rows if folder(row) == name]
        readme = configs / name / 'README.md'
        made[configs / name / 'metafile.yml'] = metafile(name, own)
        made[readme] = fill_tables(readme, own)
    made[root / 'model-index.yml'] = _yaml(
        {'Import': [f'configs/{name}/metafile.yml' for name in folders]}
    )
    return made


def read_rows(configs: Path) -> list[Row]:
    """Read the table, and check that it names the configs there are."""
    path = configs / 'intent.csv'
    with open(path, newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    listed = [row['config'] for row in rows]
    for name in listed:
        if listed.count(name) > 1:
            raise ValueError(f'{path}: {name} is listed twice')
        if not (configs / f'{name}.py').is_file():
            raise ValueError(f'{path}: there is no config {name}.py')
        if name.split('/')[0] not in COLLECTIONS:
            raise ValueError(f'{path}: {name}: no title for its folder')
    for name in COLLECTIONS:
        for file in sorted((configs / name).glob('*.py')):
            if f'{name}/{file.stem}' not in listed:
                raise ValueError(f'{path}: {name}/{file.name} has no row')
    return rows


def folder(row: Row) -> str:
    return row['config'].split('/')[0]


def stem(row: Row) -> str:
    return row['config'].split('/')[1]


# ---------------------------------------------------------------- metafiles


def metafile(name: str, rows: list[Row]) -> str:
    """OpenMMLab's description of the configs of a folder."""
    title, paper, url = COLLECTIONS[name]
    return (
        '# Made from configs/intent.csv by tools/dev/config_tables.py. '
        'Results are those\n# that the papers report: none was measured here, '
        'and no weights are published.\n'
    ) + _yaml(
        {
            'Collections': [
                {
                    'Name': title,
                    'License': 'Apache License 2.0',
                    'Metadata': {
                        'Training Data': list(
                            dict.fromkeys(row['data'] for row in rows)
                        )
                    },
                    'Paper': {'Title': paper, 'URL': url},
                    'README': f'configs/{name}/README.md',
                    'Frameworks': ['PyTorch'],
                }
            ],
            'Models': [_model(row, title) for row in rows],
        }
    )


def _model(row: Row, collection: str) -> dict:
    number, unit = row['length'].split()
    metadata = {'Training Data': row['data'], unit.capitalize(): int(number)}
    results = [
        {
            'Task': task,
            'Dataset': row['data'],
            'Metrics': {metric: float(row[column])},
        }
        for column, (metric, task) in RESULTS.items()
        if row[column]
    ]
    model = {
        'Name': stem(row),
        'In Collection': collection,
        'Config': f'configs/{row["config"]}.py',
        'Metadata': metadata,
    }
    if results:
        metadata['Results reported by'] = row['table']
        model['Results'] = results
    return model


def _yaml(content: dict) -> str:
    return yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=1000
    )


# ------------------------------------------------------------ README tables


def fill_tables(readme: Path, rows: list[Row]) -> str:
    """Replace what stands between the comments of a README."""
    used: list[str] = []

    def fill(match: re.Match) -> str:
        name = match['rows']
        chosen = [row for row in rows if row['table'] == name]
        if not chosen:
            raise ValueError(f'{readme}: no config is in the table {name!r}')
        used.append(name)
        row_columns, by, link_columns = match['columns'].partition(' by ')
        try:
            if by:
                lines = _pivot(
                    chosen, row_columns.split(', '), link_columns.split(', ')
                )
            else:
                lines = _plain(chosen, row_columns.split(', '))
        except KeyError as error:
            raise ValueError(
                f'{readme}: there is no column {error}; there are '
                f'{", ".join(COLUMNS)}'
            ) from None
        return match[1] + '\n'.join(lines) + '\n' + match[4]

    text = MARKED.sub(fill, readme.read_text(encoding='utf-8'))
    for name in dict.fromkeys(row['table'] for row in rows):
        if used.count(name) != 1:
            raise ValueError(
                f'{readme}: the table {name!r} stands there '
                f'{used.count(name)} times, not once'
            )
    return text


def _plain(rows: list[Row], columns: list[str]) -> list[str]:
    return _markdown(
        columns,
        [[COLUMNS[column](row) for column in columns] for row in rows],
    )


def _pivot(
    rows: list[Row], row_columns: list[str], link_columns: list[str]
) -> list[str]:
    """Write a line a value of some columns, a link a value of others."""
    links: dict[tuple, dict[tuple, str]] = {}
    for row in rows:
        line = tuple(COLUMNS[column](row) for column in row_columns)
        place = tuple(COLUMNS[column](row) for column in link_columns)
        links.setdefault(line, {})[place] = COLUMNS['config'](row)
    places = list(dict.fromkeys(p for line in links.values() for p in line))
    return _markdown(
        [*row_columns, *map(', '.join, places)],
        [
            [*line, *(found.get(place, '') for place in places)]
            for line, found in links.items()
        ],
    )


def _markdown(header: list[str], lines: list[list[str]]) -> list[str]:
    rules = ['---'] * len(header)
    return [f'| {" | ".join(cells)} |' for cells in (header, rules, *lines)]


def _term(term: str) -> tuple[str, ...]:
    """Count, type, sw_type, † and whiten_at of a term of a cell."""
    match = NORM.match(term)
    if match is None:
        raise ValueError(f'{term!r} does not read as "53 SN†@sw14"')
    return match.groups()


def _norms(cell: str) -> list[str]:
    """Return the norms of a cell, as a reader names them, each once.

    ``11 SN† + 42 SN`` is SN (stem and stage 1 are frozen as everything in
    them), ``53 BN†`` is BN†.
    """
    names: list[str] = []
    for term in filter(None, cell.split(' + ')):
        _, kind, _, frozen, place = _term(term)
        name = f'{kind} at {place}' if place not in (None, 'all') else kind
        if frozen and name not in names:
            name += '†'
        elif f'{name}†' in names:
            names.remove(f'{name}†')
        if name not in names:
            names.append(name)
    return names


def _backbone(row: Row) -> str:
    norms = ', '.join(_norms(row['backbone']))
    return norms if row['pretrained'] else f'{norms}, from scratch'


def _head(row: Row) -> str:
    return (
        ', '.join(
            dict.fromkeys(n for part in HEADS for n in _norms(row[part]))
        )
        or '–'
    )


def _box_head(row: Row) -> str:
    norms, heads = _head(row), 'heads' if row['mask_head'] else 'head'
    if norms == '–':
        return row['box_head']
    return f'{row["box_head"]}; {norms} in FPN and {heads}'


def _pretrained(row: Row) -> str:
    """Say what the ImageNet model was trained with, as SN on 8×2 images."""
    match = re.search(r'resnet50_sn(\d+)x(\d+)', row['pretrained'])
    if match:
        return f'SN ({match[1]},{match[2]})'
    return 'GN' if '_gn' in row['pretrained'] else 'BN'


def _schedule(row: Row) -> str:
    return re.search(r'[-_](\d+[xke])_', stem(row))[1]


def _norm(row: Row) -> str:
    """Return the norm that the config is about, the backbone's first."""
    return f'`{_term(row["backbone"])[1]}`'


def _type(row: Row) -> str:
    return {'2': 'SW^a', '5': 'SW^b'}[_term(row['backbone'])[2]]


def _value(key: str) -> Callable[[Row], str]:
    return lambda row: row[key]


COLUMNS: dict[str, Callable[[Row], str]] = {
    'network': _value('network'),
    'data': _value('data'),
    'trained on': _value('data'),
    'backbone': _backbone,
    'head': _head,
    'box head': _box_head,
    'norm': _norm,
    'layers': lambda row: _term(row['backbone'])[0],
    'type': _type,
    'pre-trained with': _pretrained,
    'schedule': _schedule,
    'box AP': _value('box_AP'),
    'mask AP': _value('mask_AP'),
    'mIoU': _value('mIoU'),
    'mIoU multi-scale': _value('mIoU_ms'),
    'config': lambda row: f'[config]({stem(row)}.py)',
}


if __name__ == '__main__':
    main()
