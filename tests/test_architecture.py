"""The rooms of the package depend on one another in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'whiten_plugins'

# From top to bottom; rooms of one line do not import each other.
ROOMS = (
    ('__main__',),
    ('cli',),
    ('ratios',),
    ('diagnosis',),
    ('calibration', 'deploy'),
    ('checkpoints',),
    ('analysis',),
    ('runner',),
    ('config',),
    ('integration',),
    ('placement',),
    ('norms',),
    ('ops', 'demo_data'),
    ('utils',),
)
LEVELS = {room: level for level, line in enumerate(ROOMS) for room in line}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {_module(path): path for path in PACKAGE.rglob('*.py')}


def _imported(name: str) -> set[str]:
    """Modules of the package that a module imports, wherever it does so,
    except for type checkers alone."""
    path = MODULES[name]
    package = name if path.name == '__init__.py' else name.rpartition('.')[0]
    tree = ast.parse(path.read_text())
    for_checkers = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and ast.unparse(node.test).endswith('TYPE_CHECKING')
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in for_checkers:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split('.')
            base = base[: len(base) - node.level + 1] if node.level else []
            source = '.'.join([*base, node.module] if node.module else base)
            for alias in node.names:
                member = f'{source}.{alias.name}'
                found.add(member if member in MODULES else source)
    return {module for module in found if module in MODULES} - {name}


IMPORTS = {name: _imported(name) for name in MODULES}


def _room(module: str) -> str:
    return module.split('.')[1] if '.' in module else ''


def test_every_room_has_its_place():
    rooms = {_room(name) for name in MODULES} - {''}
    assert rooms <= LEVELS.keys()


@pytest.mark.parametrize('room', LEVELS)
def test_a_room_imports_only_rooms_below_it(room):
    upward = {
        (name, other)
        for name, others in IMPORTS.items()
        for other in others
        if _room(name) == room != _room(other)
        # The package itself is there before any room; it has the version.
        and LEVELS.get(_room(other), len(ROOMS)) <= LEVELS[room]
    }
    assert not upward


def test_no_module_is_part_of_an_import_cycle():
    # A package's __init__ imports its modules and may be imported by them
    # through nothing but itself: leave the package's own name out.
    graph = {
        name: {other for other in others if not name.startswith(f'{other}.')}
        for name, others in IMPORTS.items()
    }
    TopologicalSorter(graph).prepare()
