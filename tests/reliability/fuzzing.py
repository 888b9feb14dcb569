"""Damaged and made-up files for every reader.

``python -m tests.reliability.fuzzing CASES SEED`` prints JSON. A case is a
valid file with some of its bytes, or some values of its JSON or pickle,
changed. A reader accepts it or refuses it by an error of its own; anything
else is a failure. It runs with little memory and time: an address space of
1.5 GiB more than it has at the start, 20 s for a case.
"""

import argparse
import copy
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import torch

from tests.ratios.synthetic import network
from whiten_plugins.checkpoints import config_text, norm_layers, reading
from whiten_plugins.checkpoints.conversion import keras
from whiten_plugins.checkpoints.conversion.errors import ConversionError
from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.demo_data import manifest
from whiten_plugins.ratios import history, runs, snapshots, work_dir

MEMORY = 1536 * 2**20
SECONDS = 20
PARSERS = (
    reading,
    norm_layers,
    config_text,
    keras,
    manifest,
    history,
    snapshots,
    work_dir,
)
STATE = network(('backbone.bn1', 'neck.bn'))
CFG = "model = dict(type='A', norm_cfg=dict(type='SN', stats=('in', 'bn')))"
CHECKPOINT = {
    'meta': {'cfg': CFG, 'epoch': 1, 'iter': 9, 'time': '20260101_000000'},
    'state_dict': STATE,
    'optimizer': {'state': {0: {'step': 1}}, 'param_groups': [{'lr': 0.1}]},
}
HISTORY = [
    {
        'format': 'whiten_plugins.ratio_history',
        'version': 1,
        'started': '20260101_000000',
        'interval': 1,
        'max_iters': 9,
        'layers': [{'name': 'bn1', 'type': 'SN', 'stats': ['in', 'bn']}],
    },
    *(
        {'iter': i, 'epoch': 1, 'mean': [[0.5, 0.5]], 'var': [[0.2, 0.8]]}
        for i in (1, 2, 3)
    ),
]
MODEL = {
    'modelTopology': {
        'model_config': {
            'config': {
                'layers': [{'config': {'name': 'bn_conv1', 'epsilon': 0.001}}]
            }
        }
    },
    'weightsManifest': [
        {
            'paths': ['shard1'],
            'weights': [
                {
                    'name': 'conv1/kernel',
                    'shape': [1, 1, 3, 4],
                    'dtype': 'float32',
                },
                {'name': 'bn_conv1/gamma', 'shape': [4], 'dtype': 'float32'},
                {
                    'name': 'bn_conv1/moving_mean',
                    'shape': [4],
                    'dtype': 'float32',
                },
                {
                    'name': 'bn_conv1/moving_variance',
                    'shape': [4],
                    'dtype': 'float32',
                },
            ],
        }
    ],
}
MANIFEST = {'version': 1, 'arguments': {'seed': 0}, 'files': {'a': 'b'}}
STRANGE = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**400,
    -0.5,
    float('inf'),
    float('nan'),
    '',
    'x',
    '\0',
    '\x1b[2J',
    '../../etc/passwd',
    '..',
    [],
    {},
    [[]],
    ['x'],
    {'x': 1},
    '<script>alert(1)</script>',
    '9' * 5000,
)
TENSORS = (
    torch.zeros(()),
    torch.zeros(0),
    torch.ones(1).expand(2**20, 2**20),
    torch.zeros(2, 3),
    torch.full((3,), float('nan')),
    torch.ones(3, dtype=torch.int64),
    torch.zeros(3, device='meta'),
    torch.eye(3).to_sparse(),
    torch.zeros(3, dtype=torch.complex64),
)


def damaged(content, rng):
    """Return bytes with some changed, cut, doubled or swapped."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        where = rng.randrange(len(content) or 1)
        what = rng.randrange(6)
        if what == 0:
            content[where : where + 1] = rng.randbytes(1)
        elif what == 1:
            del content[where : where + rng.randint(1, 64)]
        elif what == 2:
            content[where:where] = content[where : where + 64]
        elif what == 3:
            del content[where:]
        elif what == 4:
            content[where : where + 8] = (2**63 - 1).to_bytes(8, 'little')
        else:
            content[where:where] = rng.choice(
                (b'\0', b'\xff' * 8, b'[' * 3000, b'{"', b'\x80\x02')
            )
    return bytes(content)


def altered(value, rng, strange):
    """Return a copy with one value somewhere replaced, dropped or renamed."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(places)
        if (
            key not in holder
            if isinstance(holder, dict)
            else (key >= len(holder))
        ):
            continue
        what = rng.randrange(5)
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[str(rng.choice(strange))[:100]] = holder.pop(key)
        else:
            holder[key] = rng.choice(strange)
    return value


def _places(value):
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def from_bytes(write, read, errors):
    """Return a case that damages the bytes of a valid file."""

    def case(folder, rng):
        path = write(folder)
        path.write_bytes(damaged(path.read_bytes(), rng))
        read(path)

    return case, errors


def from_values(value, strange, write, read, errors):
    """Return a case that changes values of a valid file."""

    def case(folder, rng):
        read(write(folder, altered(value, rng, strange)))

    return case, errors


def save(name, **settings):
    def write(folder, value=CHECKPOINT):
        torch.save(value, folder / name, **settings)
        return folder / name

    return write


def save_safetensors(folder):
    from safetensors.torch import save_file

    save_file(STATE, folder / 'a.safetensors')
    return folder / 'a.safetensors'


def save_history(folder, lines=HISTORY):
    path = folder / 'ratio_history.jsonl'
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


def save_keras(folder, model=MODEL):
    (folder / 'shard1').write_bytes(bytes(4 * 24))
    (folder / 'model.json').write_text(json.dumps(model))
    return folder / 'model.json'


def save_manifest(folder, value=MANIFEST):
    (folder / manifest.NAME).write_text(json.dumps(value))
    return folder / manifest.NAME


def read_config(path):
    config_text.find_norms(path.read_bytes().decode('utf-8', 'replace'))


def save_config(folder):
    (folder / 'config.py').write_text(CFG)
    return folder / 'config.py'


def read_ratios(path):
    if path.suffix == '.jsonl':
        path = path.parent
    runs.read_run(path)


CASES = {
    'zip bytes': from_bytes(save('a.pth'), read_ratios, CheckpointError),
    'legacy bytes': from_bytes(
        save('a.pth', _use_new_zipfile_serialization=False),
        read_ratios,
        CheckpointError,
    ),
    'safetensors bytes': from_bytes(
        save_safetensors, read_ratios, CheckpointError
    ),
    'checkpoint values': from_values(
        CHECKPOINT,
        STRANGE + TENSORS,
        save('a.pth'),
        read_ratios,
        CheckpointError,
    ),
    'history bytes': from_bytes(save_history, read_ratios, CheckpointError),
    'history values': from_values(
        HISTORY, STRANGE, save_history, read_ratios, CheckpointError
    ),
    'keras bytes': from_bytes(save_keras, keras.read_keras, ConversionError),
    'keras values': from_values(
        MODEL, STRANGE, save_keras, keras.read_keras, ConversionError
    ),
    'manifest bytes': from_bytes(
        save_manifest,
        lambda p: manifest.is_made(p.parent, {}),
        FileExistsError,
    ),
    'manifest values': from_values(
        MANIFEST,
        STRANGE,
        save_manifest,
        lambda p: manifest.is_made(p.parent, {}),
        FileExistsError,
    ),
    'config bytes': from_bytes(save_config, read_config, ()),
}


def fuzz(count, seed, names=tuple(CASES)):
    """Run cases in turn; return counts, failures, and lines covered."""
    tally, failures, slowest = Counter(), [], 0.0
    covered = Coverage()
    with tempfile.TemporaryDirectory() as name:
        for number in range(count):
            kind = names[number % len(names)]
            folder = Path(name, str(number))
            folder.mkdir()
            case, errors = CASES[kind]
            start = time.monotonic()
            signal.alarm(SECONDS)
            try:
                with covered:
                    case(folder, random.Random(f'{seed} {number}'))
                tally['accepted'] += 1
            except errors:
                tally['refused'] += 1
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                failures.append(
                    f'{kind} {seed} {number}: {error!r:.150} at '
                    f'{Path(where.filename).name}:{where.lineno}'
                )
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.monotonic() - start)
    return {
        'cases': count,
        'seed': seed,
        **tally,
        'failures': failures,
        'slowest': round(slowest, 1),
        'coverage': covered.share(),
    }


class Coverage:
    """Which lines of the parsers have run; of functions, not of imports."""

    def __init__(self):
        self.files = {module.__file__: set() for module in PARSERS}

    def __enter__(self):
        sys.settrace(self._called)

    def __exit__(self, *error):
        sys.settrace(None)

    def _called(self, frame, event, argument):
        lines = self.files.get(frame.f_code.co_filename)
        if lines is None:
            return None

        def line(frame, event, argument):
            lines.add(frame.f_lineno)
            return line

        return line

    def share(self):
        """Return the percentage of lines of each module."""
        found = {}
        for file, lines in self.files.items():
            code = compile(Path(file).read_text(), file, 'exec')
            every = set(_lines_of_functions(code))
            name = Path(file).stem
            found[name] = round(100 * len(lines & every) / len(every))
        return found


def _lines_of_functions(code, inside=False):
    for constant in code.co_consts:
        if hasattr(constant, 'co_lines'):
            function = constant.co_flags & 0x2  # not a class body
            if function:
                starts = {constant.co_firstlineno, None}
                yield from {line for *_, line in constant.co_lines()} - starts
            yield from _lines_of_functions(constant)


def limit_memory(extra=MEMORY):
    """Let this process have only so much more address space."""
    used = int(Path('/proc/self/statm').read_text().split()[0])
    limit = used * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('cases', type=int)
    parser.add_argument('seed', type=int)
    args = parser.parse_args()
    warnings.simplefilter('ignore')

    def stop(*_):
        raise TimeoutError(f'more than {SECONDS} s')

    signal.signal(signal.SIGALRM, stop)
    limit_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = fuzz(args.cases, args.seed)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**found, 'grown': round((after - before) / 1024)}))


if __name__ == '__main__':
    main()
