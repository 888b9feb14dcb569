"""Studies resume, keep what is done, and draw pages from results alone."""

import io
import json

import pytest
from rich.console import Console

from benchmarks.studies import STUDIES, page, run, study
from benchmarks.studies.study import Cell, Study
from whiten_plugins.config import load_config

CELLS = (Cell('BN', '1', {'a.b': 1}), Cell('SN', '1', {'a.stats': ('in',)}))
STUDY = Study('T', 'Q?', 'c.py', 'coco', 'images', ('mIoU',), CELLS, (0, 1))


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Trainings that only note what was asked and log a validation."""
    monkeypatch.setattr(study, 'RESULTS', tmp_path / 'results')
    asked = []

    def execute(command, folder):
        asked.append(command)
        log = folder / '20260101' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        seed = float(command[-5].rpartition('=')[2])
        rows = [{'loss': 1.0, 'step': 1}, {'mIoU': 50.0 + seed, 'step': 2}]
        log.write_text('\n'.join(map(json.dumps, rows)))
        return int('SN' in folder.name and seed == 1)

    monkeypatch.setattr(run, '_execute', execute)
    return asked


def _run(tmp_path):
    console = Console(file=io.StringIO())
    run.run_study('name', STUDY, tmp_path / 'work', 1, console)


def test_a_failed_training_is_named_and_the_others_are_kept(
    trainings, tmp_path
):
    with pytest.raises(run.StudyError, match='SN--1--seed1.*exit status 1'):
        _run(tmp_path)
    results = [study.read_results('name', STUDY, cell) for cell in CELLS]
    assert [len(found) for found in results] == [2, 1]
    assert results[0][1]['metrics'] == {'mIoU': 51.0}


def test_what_has_a_result_is_not_trained_again(trainings, tmp_path):
    for _ in range(2):
        with pytest.raises(run.StudyError):
            _run(tmp_path)
    assert len(trainings) == 4 + 1


def test_the_page_has_mean_and_spread_of_the_results(trainings, tmp_path):
    with pytest.raises(run.StudyError):
        _run(tmp_path)
    results = {c.name: study.read_results('name', STUDY, c) for c in CELLS}
    text = page.render('name', STUDY, results)
    assert '| BN | 50.500 ± 0.707 |' in text
    assert '| SN | 50.000 |' in text
    assert '3 of 4 trainings' in text


@pytest.mark.parametrize('name', STUDIES)
def test_every_cell_is_a_config_that_loads(name):
    pytest.importorskip('mmdet')
    from mmengine.config import DictAction

    found = STUDIES[name]
    for cell in found.cells:
        options = {
            key: DictAction._parse_iterable(run._text(value))
            for key, value in cell.options.items()
        }
        cfg = load_config(study.ROOT / 'configs' / found.config, options)
        assert cfg.norm_cfg.type in cell.row
