"""What writes files: every command and what a training leaves behind.

A job writes into a folder that holds older files of the same names. It is run
in forks of one process, so that each run starts warm.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

OLD = b'what was there before\n' * 200

CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(
    imports=['mmseg.models', 'whiten_plugins', 'tests.reliability.writers'])
norm_cfg = dict(type='SW', num_pergroup=4)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4,
        norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, channels=4, num_convs=1,
        num_classes=2, norm_cfg=norm_cfg))
train_dataloader = dict(
    batch_size=2, num_workers=0,
    dataset=dict(type='WrittenImages'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'))
"""


@dataclass(frozen=True)
class Job:
    """What is run.

    Attributes:
        files: what it writes, below its folder.
        run: writes them, given the folder of its inputs and its own;
            returns an exit code or raises an OSError.
        replaces: whether there are older files.
        steps: whether it writes more than once, each time for good.
    """

    files: tuple[str, ...]
    run: Callable[[Path, Path], int | None]
    replaces: bool = True
    steps: bool = False


def command(*words):
    """Return what runs a command; {data} and {out} are the folders."""

    def run(data, out):
        from whiten_plugins.cli import main

        return main([word.format(data=data, out=out) for word in words])

    return run


def prepare(data):
    """Write what the commands read."""
    from mmengine.config import Config
    from mmseg.registry import DATASETS

    from tests.checkpoints.conversion.conftest import SAME_NORMS, tiny
    from tests.checkpoints.conversion.published import Network, checkpoint
    from tests.training import Images
    from whiten_plugins.config import build_model

    class WrittenImages(Images):
        def __getitem__(self, index):
            from mmengine.structures import PixelData
            from mmseg.structures import SegDataSample

            image = super().__getitem__(index)['inputs'].repeat(1, 4, 4)
            sample = SegDataSample()
            sample.gt_sem_seg = PixelData(
                data=torch.zeros(1, 32, 32, dtype=torch.long)
            )
            return {'inputs': image, 'data_samples': sample}

    DATASETS.register_module(module=WrittenImages, force=True)
    torch.manual_seed(0)
    for name, norm in (('trained', 'SW'), ('foldable', 'ItN')):
        config = data / f'{name}.py'
        config.write_text(CONFIG.replace("'SW'", f"'{norm}'"))
        model = build_model(Config.fromfile(config))
        torch.save(
            {'state_dict': model.state_dict(), 'meta': {'epoch': 3}},
            config.with_suffix('.pth'),
        )
    torch.save(checkpoint(Network('sw', 18)), data / 'sw.pth')
    backbone = {**tiny(**SAME_NORMS['sw']), 'depth': 18}
    (data / 'backbone.py').write_text(f'model = dict(backbone={backbone})')


def history(data, out):
    """Start a history, go on with it after a while, and once more."""
    from whiten_plugins.ratios.history import (
        HistoryLayer,
        append_snapshot,
        start_history,
    )

    file = out / 'ratio_history.jsonl'
    layers = [HistoryLayer('backbone.bn1', 'SN', ('in', 'bn'))]
    for start in (0, 2):
        start_history(file, layers, start, interval=1, max_iters=9)
        for iteration in (start + 1, start + 2):
            append_snapshot(file, iteration, 1, [[0.5, 0.5]], [[0.25, 0.75]])


def figures(data, out):
    """Write the figures of a benchmark."""
    from benchmarks.report import write

    write({'results': list(range(1000))}, out / 'figures.json')


def package(data, out):
    """Fetch a package; the registry is a stand-in."""
    from whiten_plugins.utils import packages

    content = b'archive' * 5000
    (data / 'archive').write_bytes(content)
    digest = packages._sha256(data / 'archive')
    wanted = packages.Package('pypi', 'a', '1', 'a.whl', digest, 'none')

    def download(package, folder, file):
        Path(folder, package.file).write_bytes(content)

    packages._download = download
    os.environ['XDG_CACHE_HOME'] = str(out)
    packages.fetch(wanted)


JOBS = {
    'harden': Job(
        ('hard.pth',),
        command(
            'harden',
            '{data}/trained.pth',
            '--out',
            '{out}/hard.pth',
            '--overwrite',
        ),
    ),
    'convert': Job(
        ('sw.json', 'sw.pth'),
        command(
            'convert',
            '{data}/sw.pth',
            '{out}/sw.pth',
            '--config',
            '{data}/backbone.py',
            '--overwrite',
        ),
    ),
    'fold': Job(
        ('folded.pth', 'folded.py'),
        command(
            'fold',
            '{data}/foldable.py',
            '{data}/foldable.pth',
            '--out',
            '{out}/folded.pth',
            '--shape',
            '32',
            '32',
            '--overwrite',
        ),
    ),
    'calibrate': Job(
        ('exact.pth',),
        command(
            'calibrate',
            '{data}/trained.py',
            '{data}/trained.pth',
            '--num-images',
            '2',
            '--out',
            '{out}/exact.pth',
            '--overwrite',
        ),
    ),
    'ratios': Job(
        ('report.html', 'ratios.csv', 'ratios.json'),
        command(
            'ratios',
            '{data}/trained.pth',
            '--out',
            '{out}',
            '--format',
            'html,csv,json',
            '--overwrite',
        ),
    ),
    'diagnose': Job(
        ('diagnosis.html', 'diagnosis.json'),
        command(
            'diagnose',
            '{data}/trained.py',
            '{data}/trained.pth',
            '--batches',
            '1',
            '--out',
            '{out}',
            '--overwrite',
        ),
    ),
    'onnx': Job(
        ('network.onnx',),
        command(
            'onnx',
            '{data}/trained.py',
            '{data}/trained.pth',
            '--out',
            '{out}/network.onnx',
            '--shape',
            '32',
            '32',
            '--overwrite',
        ),
    ),
    'demo-data': Job(
        ('mini',),
        command(
            'demo-data',
            '--out',
            '{out}/mini',
            '--format',
            'ade20k',
            '--num-train',
            '1',
            '--num-val',
            '1',
            '--size',
            '64',
            '64',
        ),
        replaces=False,
    ),
    'history': Job(
        ('ratio_history.jsonl',), history, replaces=False, steps=True
    ),
    'figures': Job(('figures.json',), figures),
    'package': Job(
        ('whiten_plugins/packages/a.whl',), package, replaces=False
    ),
}


def is_whole(path):
    """Return whether a file, or a data set, is complete by its own means."""
    if path.is_dir():
        from whiten_plugins.demo_data import make_mini_dataset

        counts = dict(num_train=1, num_val=1, size=(64, 64))
        return not make_mini_dataset(path, 'ade20k', **counts)
    content = path.read_bytes()
    if path.suffix == '.pth':
        return bool(torch.load(path, weights_only=True))
    if path.suffix == '.json':
        return bool(json.loads(content))
    if path.suffix == '.py':
        return bool(compile(content, str(path), 'exec'))
    if path.suffix == '.onnx':
        import onnx

        onnx.checker.check_model(onnx.load(path))
        return True
    if path.suffix == '.jsonl':
        from whiten_plugins.ratios.history import read_history

        return bool(read_history(path).layers)
    ends = {'.html': b'</html>\n', '.csv': b'\n', '.whl': b'archive'}
    return content.endswith(ends[path.suffix])
