"""One config of each architecture that the toolkits ship, and what each tool
does with its model."""

from __future__ import annotations

import importlib.util
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from whiten_plugins.analysis.complexity import analyze
from whiten_plugins.analysis.example_inputs import (
    example_shapes,
    is_detector,
    run_example,
)
from whiten_plugins.analysis.forward_order import trace_forward
from whiten_plugins.calibration import batch_average
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.deploy import fold_norms

NO_ARCHITECTURES = {'_base_', 'common'}
SMALL = re.compile(r'r18|r50|tiny|[-_](?:s|t|n|b0|w18)[-_8]|mit-b0|lite')


def architectures(package: str) -> list[str]:
    """Names of the folders of configs in a toolkit; none without it."""
    if importlib.util.find_spec(package) is None:
        return []
    folders = _root(package).iterdir()
    names = {folder.name for folder in folders if folder.is_dir()}
    return sorted(names - NO_ARCHITECTURES)


def _root(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # without importing it
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / '.mim' / 'configs'


def config_of(package: str, name: str) -> Config | None:
    """The config of an architecture that looks smallest; None where the
    folder has none with a model."""
    files = (_root(package) / name).glob('*.py')
    ranked = sorted(
        files, key=lambda f: (not SMALL.search(f.stem), len(f.stem), f.stem)
    )
    for file in ranked:
        cfg = load_config(file)
        if cfg.get('model'):
            return cfg
    return None


class MadeUpDataError(Exception):
    """A model that does not train on made-up annotations."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Stop what takes longer, also where any :class:`Exception` is
    caught."""

    def stop(*args: object) -> None:
        raise KeyboardInterrupt(f'took more than {seconds} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def training_batch(model: nn.Module, size: tuple[int, int]) -> dict:
    """Two images with annotations of everything."""
    if is_detector(model):
        from mmdet.testing import demo_mm_inputs

        return demo_mm_inputs(
            image_shapes=[(3, *size)] * 2,
            num_classes=2,
            with_mask=True,
            with_semantic=True,
            use_box_type=True,
            num_items=[3, 3],
        )
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    inputs, samples = [], []
    for _ in range(2):
        sample = SegDataSample(
            metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size)
        )
        labels = torch.randint(2, (1, *size))
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=labels)
        sample.gt_depth_map = PixelData(data=labels.float() + 1)
        inputs.append(torch.randint(255, (3, *size)).byte())
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def flops(cfg: Config, model: nn.Module) -> str:
    shape = run_example(model.eval(), example_shapes(cfg), _shape)
    return f'{analyze(model, shape).flops / 1e9:.2f} G'


def _shape(run) -> tuple[int, ...]:
    with torch.no_grad():
        run.forward()
    return tuple(run.image.shape[1:])


def fold(cfg: Config, model: nn.Module) -> str:
    report = fold_norms(
        model.eval(), input_shapes=example_shapes(cfg)
    ).fold_report
    return f'{len(report.folded)} of {len(report.folded) + len(report.kept)}'


def order(cfg: Config, model: nn.Module) -> str:
    found = trace_forward(cfg)
    unknown = sum(field is None for field in found.values())
    return f'{len(found)}' + (f', {unknown} unknown' if unknown else '')


def calibrate(cfg: Config, model: nn.Module) -> str:
    (_, *size) = run_example(model.eval(), example_shapes(cfg), _shape)
    batch = training_batch(model, (size[0], size[1]))

    def forward(batch: dict) -> None:
        data = model.data_preprocessor(batch, True)
        try:
            model(**data, mode='loss')
        except Exception as error:
            raise MadeUpDataError(
                f'{type(error).__name__}: {error}'
            ) from error

    done = batch_average(model, [batch], forward)
    return f'{len(done.averaged)}, {len(done.kept)} kept'


TOOLS: dict[str, Callable[[Config, nn.Module], str]] = {
    'flops': flops,
    'fold': fold,
    'order': order,
    'calibrate': calibrate,
}


def outcomes(package: str, name: str, seconds: int = 120) -> dict[str, str]:
    """What each tool makes of an architecture, in words: 'FAILED' is a fault
    of the tool, 'refused' what it says in one line.

    Args:
        package: mmdet or mmseg.
        name: one of :func:`architectures`.
        seconds: for building, and for each tool.
    """
    try:
        cfg = config_of(package, name)
    except ValueError as error:
        return {'config': f'refused: {error}'}
    if cfg is None:
        return {'config': 'no model in this folder'}
    found = {'config': Path(cfg.filename).stem}
    try:
        torch.manual_seed(0)
        with time_limit(seconds):
            model = build_model(cfg)
    except (ValueError, KeyboardInterrupt) as error:
        return found | {'model': f'refused: {error}'}
    for tool, run in TOOLS.items():
        try:
            with time_limit(seconds):
                found[tool] = run(cfg, model)
        except KeyboardInterrupt as error:
            found[tool] = f'slow: {error}'
        except ValueError as error:
            found[tool] = f'refused: {error}'
        except MadeUpDataError as error:
            found[tool] = f'not tried, made-up annotations: {error}'
        except Exception as error:
            found[tool] = f'FAILED: {type(error).__name__}: {error}'
    return found
