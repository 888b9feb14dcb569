"""One checkpoint on several test sets, in one table.

A config names its test sets at the top level::

    test_sets = dict(
        cityscapes=dict(seen=True, dataset=dict(type='CityscapesDataset')),
        bdd100k=dict(dataset=dict(type='BDD100KDataset', data_root='data')),
    )

``dataset`` takes the place of ``test_dataloader.dataset`` and ``evaluator``,
where there is one, that of ``test_evaluator``. Sets that are ``seen`` are of
the training's domain: the mean over the others says how well a network
generalizes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from rich.table import Table

from ..config.errors import ConfigError
from ..config.loading import load_config
from ..utils.files import write_texts
from ..utils.terminal import add_row, make_table

Metrics = dict[str, float]


@dataclass(frozen=True)
class TestSet:
    """A data set to test on.

    Attributes:
        name: as the table shows it.
        dataloader: config of its data loader.
        evaluator: config of its metrics.
        seen: whether it is of the training's domain.
    """

    __test__: ClassVar[bool] = False  # not a test of pytest's

    name: str
    dataloader: ConfigDict
    evaluator: ConfigDict | list
    seen: bool = False


def find_test_sets(cfg: Config, names: Sequence[str]) -> list[TestSet]:
    """Choose test sets by name.

    Args:
        cfg: the whole config.
        names: of sets in ``cfg.test_sets``, where ``*`` stands for anything,
            and paths of other configs, which give their ``test_dataloader``
            and ``test_evaluator``.

    Returns:
        list[TestSet]: In the order of ``names``, each once.

    Raises:
        ConfigError: if a name is of nothing, or a set cannot be tested on.
    """
    configured = cfg.get('test_sets') or {}
    found: dict[str, TestSet] = {}
    for name in names:
        matches = [key for key in configured if fnmatchcase(key, name)]
        if not matches and name.endswith('.py'):
            found[Path(name).stem] = _of_another_config(name)
            continue
        if not matches:
            raise ConfigError(
                f'test set {name!r} is neither in test_sets of the config '
                f'({", ".join(configured) or "which has none"}) nor a config '
                'file'
            )
        for key in matches:
            found.setdefault(key, _of_this_config(cfg, key, configured[key]))
    return list(found.values())


def _of_this_config(cfg: Config, name: str, entry: Mapping) -> TestSet:
    unknown = sorted(set(entry) - {'dataset', 'evaluator', 'seen'})
    if 'dataset' not in entry or unknown:
        raise ConfigError(
            f'test_sets.{name} takes dataset, evaluator and seen, and needs '
            f'the first; it has {", ".join(entry) or "nothing"}'
        )
    loader = copy.deepcopy(cfg.test_dataloader)
    loader['dataset'] = copy.deepcopy(entry['dataset'])
    evaluator = entry.get('evaluator', cfg.test_evaluator)
    return TestSet(
        name, loader, copy.deepcopy(evaluator), entry.get('seen', False)
    )


def _of_another_config(path: str) -> TestSet:
    other = load_config(path)
    for key in ('test_dataloader', 'test_evaluator'):
        if other.get(key) is None:
            raise ConfigError(f'{path}: has no {key} to test with')
    return TestSet(
        Path(path).stem, other.test_dataloader, other.test_evaluator
    )


def prepare_test_sets(cfg: Config, names: Sequence[str]) -> list[TestSet]:
    """Choose test sets, look at each, and make the config's own the first.

    Args:
        cfg: the whole config, changed in place.
        names: as :func:`find_test_sets`.

    Raises:
        ConfigError: as :func:`find_test_sets` and :func:`check_test_sets`.
    """
    sets = find_test_sets(cfg, names)
    check_test_sets(cfg, sets)
    cfg.test_dataloader = copy.deepcopy(sets[0].dataloader)
    cfg.test_evaluator = copy.deepcopy(sets[0].evaluator)
    return sets


def check_test_sets(cfg: Config, sets: Sequence[TestSet]) -> None:
    """Read the first image of every set, before hours of testing.

    Args:
        cfg: the whole config.
        sets: what to look at.

    Raises:
        ConfigError: if one cannot be read; it names the set.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for item in sets:
            try:
                dataset = DATASETS.build(
                    copy.deepcopy(item.dataloader.dataset)
                )
                if len(dataset) == 0:
                    raise ValueError('there are no images')
                dataset[0]
            # Files, annotations and packages: anything may be missing.
            except Exception as error:
                message = ' '.join(str(error).split())
                raise ConfigError(
                    f'test set {item.name}: {type(error).__name__}: {message}'
                ) from error


def run_test_sets(
    runner: Runner, sets: Sequence[TestSet]
) -> dict[str, Metrics]:
    """Test on one set after the other, with the weights loaded once.

    Args:
        runner: of a config that :func:`prepare_test_sets` prepared.
        sets: what to test on.

    Returns:
        dict[str, Metrics]: Metrics by the names of the sets.
    """
    results = {}
    loop_cfg = runner.cfg.test_cfg
    runner.call_hook('before_run')
    runner.load_or_resume()
    for item in sets:
        print_log(f'test set: {item.name}', logger='current')
        # What Runner.test() does, which loads the checkpoint anew each time.
        runner._test_dataloader = copy.deepcopy(item.dataloader)
        runner._test_evaluator = copy.deepcopy(item.evaluator)
        runner._test_loop = runner.build_test_loop(copy.deepcopy(loop_cfg))
        results[item.name] = runner.test_loop.run()
    runner.call_hook('after_run')
    if is_main_process():
        _save(Path(runner.log_dir) / 'test_sets.json', results)
    return results


def _save(path: Path, results: Mapping[str, Metrics]) -> None:
    numbers = {
        name: {metric: _number(value) for metric, value in metrics.items()}
        for name, metrics in results.items()
    }
    text = json.dumps(numbers, indent=2) + '\n'
    write_texts({path: text})


def mean_over_unseen(
    results: Mapping[str, Metrics], sets: Sequence[TestSet]
) -> Metrics:
    """Average each metric over the sets of other domains than the training's.

    Args:
        results: metrics by name of the set.
        sets: those sets.

    Returns:
        Metrics: Of the metrics that all of them have; empty with fewer than
        two such sets.
    """
    unseen = [results[item.name] for item in sets if not item.seen]
    if len(unseen) < 2:
        return {}
    return {
        metric: fmean(_number(metrics[metric]) for metrics in unseen)
        for metric in unseen[0]
        if all(metric in metrics for metrics in unseen)
    }


def results_table(
    results: Mapping[str, Metrics], sets: Sequence[TestSet]
) -> Table:
    """Lay out the metrics, a line a set.

    Args:
        results: metrics by name of the set.
        sets: those sets, in the order of the lines.
    """
    columns = list(dict.fromkeys(m for r in results.values() for m in r))
    lines = {
        f'{item.name} (seen)' if item.seen else item.name: results[item.name]
        for item in sets
    }
    mean = mean_over_unseen(results, sets)
    if mean:
        count = sum(not item.seen for item in sets)
        lines[f'mean of the {count} unseen'] = mean
    table = make_table('test set', *columns, numbers=columns)
    for name, metrics in lines.items():
        cells = [
            f'{_number(metrics[column]):.4g}' if column in metrics else ''
            for column in columns
        ]
        add_row(table, name, *cells)
    return table


def _number(value: object) -> float:
    """Convert a metric to a float: mmengine's may be numpy's or a tensor."""
    return float(value)  # type: ignore[arg-type]
