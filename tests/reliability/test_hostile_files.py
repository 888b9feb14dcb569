"""What strangers send: code in pickles, bombs, absurd shapes, markup."""

import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from tests.ratios.synthetic import layer, save
from tests.reliability import fuzzing
from whiten_plugins.checkpoints.reading import CheckpointError, load_checkpoint
from whiten_plugins.ratios.report import write_report

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261126
MARKUP = (
    '<script>alert(1)</script>',
    '</script><script>alert(2)</script>',
    '"><img src=x onerror=alert(3)>',
    "'+alert(4)+'",
    '<!--',
    '&lt;b&gt;',
    '{{ 7 * 7 }}',
)


def fuzz(count, seed):
    done = subprocess.run(
        [sys.executable, '-m', fuzzing.__name__, str(count), str(seed)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found['failures']
    assert found['refused'] > count / 4
    assert found['grown'] < 200  # MiB
    return found


def test_some_damaged_files_are_refused_or_read():
    fuzz(330, SEED)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_many_damaged_files_are_refused_or_read(held):
    pytest.importorskip('safetensors')
    found = fuzz(10_000, SEED)
    held(
        '{cases} files with damaged bytes or changed values (seed {seed}; '
        '{kinds}): {refused} refused by an error of the reader, {accepted} '
        'read, none with another error, the slowest in {slowest} s, {grown} '
        'MiB of memory more; lines of the parsers covered, in percent: '
        '{coverage}',
        kinds=', '.join(fuzzing.CASES),
        **found | {'coverage': str(found['coverage']).strip('{}')},
    )


class Runs:
    """A pickle that runs something."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CALLS = {
    'os.system': lambda victim: Runs(os.system, f'touch {victim}'),
    'eval': lambda victim: Runs(eval, f'open({str(victim)!r}, "w")'),
    'exec': lambda victim: Runs(exec, f'open({str(victim)!r}, "w")'),
    'open': lambda victim: Runs(open, str(victim), 'w'),
    'getattr': lambda victim: Runs(getattr, Path, 'touch'),
    'subprocess': lambda victim: Runs(subprocess.call, ['touch', str(victim)]),
    'Path.touch': lambda victim: Runs(Path.touch, victim),
    'pickle.loads': lambda victim: Runs(
        pickle.loads, pickle.dumps(Runs(Path.touch, victim))
    ),
    'torch.load': lambda victim: Runs(torch.load, str(victim)),
    'import': lambda victim: Runs(__import__, 'antigravity'),
}
PLACES = {
    'meta': lambda evil: {'state_dict': {'w': torch.ones(1)}, 'meta': evil},
    'weights': lambda evil: {'state_dict': {'w': evil}},
    'top': lambda evil: evil,
    'key': lambda evil: {'state_dict': {evil: torch.ones(1)}},
}


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_pickles_that_run_code_are_refused(tmp_path, zipped, held):
    victim, tried = tmp_path / 'victim', 0
    for call in CALLS.values():
        for place in PLACES.values():
            path = tmp_path / 'evil.pth'
            torch.save(
                place(call(victim)),
                path,
                _use_new_zipfile_serialization=zipped,
            )
            with pytest.raises(CheckpointError):
                load_checkpoint(path)
            assert not victim.exists()
            tried += 1
    held(
        '{tried} checkpoints ({format}) whose pickle runs code ({calls}, in '
        '{places} places): all refused, nothing run',
        tried=tried,
        format='archives' if zipped else 'the format before torch 1.6',
        calls=', '.join(CALLS),
        places=len(PLACES),
    )


def compressed(path):
    """Zeros, a thousandth of their size."""
    source = path.with_suffix('.source')
    torch.save({'w': torch.ones(1)}, source)
    with zipfile.ZipFile(source) as old:
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
            with new.open('archive/data/9', 'w') as bomb:
                for _ in range(128):
                    bomb.write(bytes(2**20))


def expanded(path):
    one = torch.ones(1)
    torch.save({'w.mean_weight': one.expand(2**30, 2**10)}, path)


def absurd_storage(path):
    """A storage said to have 2^40 elements, in the older format."""
    tensor = torch.ones(3)
    torch.save({'w': tensor}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b'K\x03') >= 1
    huge = b'\x8a\x06' + (2**40).to_bytes(6, 'little')
    path.write_bytes(content.replace(b'K\x03', huge))


def absurd_bytes(path):
    torch.save({'w': torch.ones(1), 'b': Runs(bytearray, 2**44)}, path)


def safetensors_header(path):
    path.write_bytes((2**62).to_bytes(8, 'little') + b'{"a":1}')


def safetensors_shape(path):
    shape = [2**31, 2**31]
    text = json.dumps(
        {'a': {'dtype': 'F32', 'shape': shape, 'data_offsets': [0, 4]}}
    ).encode()
    path.write_bytes(len(text).to_bytes(8, 'little') + text + bytes(4))


def outside(path):
    """Names of an archive that lead out of it."""
    torch.save({'w': Runs(bytearray, b'x')}, path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('../../outside', b'x')


BOMBS = {
    '128 MiB in a compressed archive': (compressed, '.pth'),
    '2^40 elements over one by strides of 0': (expanded, '.pth'),
    'a storage of 2^40 elements': (absurd_storage, '.pth'),
    'a bytearray of 2^44': (absurd_bytes, '.pth'),
    'a safetensors header of 2^62 bytes': (safetensors_header, '.safetensors'),
    'a safetensors shape of 2^62 elements': (
        safetensors_shape,
        '.safetensors',
    ),
    'an archive with names that lead out of it': (outside, '.pth'),
}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_bomb(path):
    """Read in a process with little memory; return status and MiB taken."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            fuzzing.limit_memory()
            before = peak()
            code = 1
            try:
                load_checkpoint(path)
            except CheckpointError:
                code = 0
            os.write(write_end, str(peak() - before).encode())
            os._exit(code)
        except BaseException:
            os._exit(2)
    os.close(write_end)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(read_end) as pipe:
        return status, float(pipe.read() or 'inf')


def test_bombs_are_refused_before_memory_is_taken(tmp_path, held):
    taken = {}
    for name, (write, suffix) in BOMBS.items():
        if suffix == '.safetensors':
            pytest.importorskip('safetensors')
        folder = tmp_path / str(len(taken)) / 'inner'
        folder.mkdir(parents=True)
        path = folder / f'bomb{suffix}'
        write(path)
        before = set(tmp_path.rglob('*'))
        status, taken[name] = read_bomb(path)
        assert status == 0, name
        assert set(tmp_path.rglob('*')) == before, name
    assert max(taken.values()) < 64
    held(
        '{bombs} files that would take the memory ({kinds}): refused, with at '
        'most {most} MiB taken, nothing unpacked',
        bombs=len(BOMBS),
        kinds='; '.join(BOMBS),
        most=round(max(taken.values())),
    )


class Tags(HTMLParser):
    """The tags and the attributes of a page, in order."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(sorted(name for name, _ in attributes))))


def tags(path):
    parser = Tags()
    parser.feed(path.read_text())
    return parser.found


def test_names_with_markup_do_not_become_markup(tmp_path, held):
    pages = []
    names = [f'backbone.bn{index}' for index in range(len(MARKUP))]
    for folder, layers in (('plain', names), ('evil', MARKUP)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / f'{layers[0].replace("/", "")[:24]}.pth'
        states = [
            layer(f'backbone.{name}.bn', torch.tensor([0.1, 0.5, 0.2]))
            for name in (text.replace('.', '') for text in layers)
        ]
        save(file, *states, epoch=1)
        out = tmp_path / folder / 'out'
        write_report([file], out, formats=['html'])
        pages.append(out / 'report.html')
    plain, evil = map(tags, pages)
    assert evil == plain
    text = pages[1].read_text()
    assert '<script>alert' not in text and '<img' not in text
    assert '{{ 7' in text  # and not 49
    held(
        'a report of {names} layers and a file whose names are markup: the '
        'same {tags} tags and attributes as with plain names',
        names=len(MARKUP),
        tags=len(evil),
    )
