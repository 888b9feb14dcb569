"""Studies resume, keep what is done, and draw pages from results alone."""

import io
import json

import pytest
from rich.console import Console

from benchmarks.studies import STUDIES, execution, page, run, study
from benchmarks.studies.study import Cell, Metric, Start, Study
from whiten_plugins.config import load_config

MIOU = Metric('mIoU', 'mIoU')
BN = Cell('BN', '1', 'c.py', {'a.b': 1, 'train_cfg.max_iters': 2})
SN = Cell(
    'SN', '1', 'c.py', {'a.stats': ('in',), 'load_from': '{start}'}, Start(BN)
)
STUDY = Study('T', 'Q?', 'S.', 'images', (MIOU,), (SN, BN), seeds=(0, 1))


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Trainings that only note what was asked and log a validation."""
    monkeypatch.setattr(study, 'RESULTS', tmp_path / 'results')
    asked = tmp_path / 'asked'

    def execute(command, output):
        with asked.open('a') as file:
            print(*command, file=file)
        log = output.parent / '20260101' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        (output.parent / 'iter_2.pth').touch()
        seed = float(command[-1].rpartition('=')[2])
        rows = [{'loss': 1.0, 'step': 1}, {'mIoU': 50.0 + seed, 'step': 2}]
        log.write_text('\n'.join(map(json.dumps, rows)))
        return int('SN' in output.parent.name and seed == 1)

    monkeypatch.setattr(run, 'execute', execute)
    monkeypatch.setattr(run, '_prepare', lambda study: None)
    return lambda: asked.read_text().splitlines()


def _run(tmp_path):
    console = Console(file=io.StringIO())
    run.run_study('name', STUDY, tmp_path / 'work', 1, console)


def test_a_failed_run_is_named_and_the_others_are_kept(trainings, tmp_path):
    with pytest.raises(run.StudyError, match='SN--1--seed1.*exit status 1'):
        _run(tmp_path)
    results = study.read_results('name', STUDY)
    assert {name: len(found) for name, found in results.items()} == {
        'SN--1': 1,
        'BN--1': 2,
    }
    assert results['BN--1'][1]['metrics'] == {'mIoU': 51.0}


def test_what_has_a_result_is_not_run_again(trainings, tmp_path):
    for _ in range(2):
        with pytest.raises(run.StudyError):
            _run(tmp_path)
    assert len(trainings()) == 4 + 1


def test_a_cell_starts_from_the_other_of_its_seed(trainings, tmp_path):
    with pytest.raises(run.StudyError):
        _run(tmp_path)
    first, second = trainings()[:2]
    assert 'BN--1--seed0' in first and '--resume' in first
    assert f'load_from={tmp_path}/work/name/BN--1--seed0/iter_2.pth' in second
    # Which would set aside load_from, but where there is a checkpoint.
    assert '--resume' not in second
    work = tmp_path / 'work' / 'name'
    assert (work / 'SN--1--seed0' / 'iter_2.pth').exists()
    assert '--resume' in execution.commands_of(SN, 0, work)[0]


def test_a_start_that_is_no_cell_is_trained_first(tmp_path):
    lacking = run._lacking_starts([(SN, 0)], tmp_path)
    assert lacking == [(BN, 0)]
    assert run._lacking_starts([(SN, 0), (BN, 0)], tmp_path) == []


def test_a_command_changes_the_checkpoint_before_a_test(tmp_path):
    start = Start(BN, ('harden', '{source}', '--out', '{made}'))
    cell = Cell('BN', 'hard', 'c.py', start=start, test_only=True)
    change, test = execution.commands_of(cell, 3, tmp_path)
    made = f'{tmp_path}/BN--hard--seed3/start.pth'
    source = f'{tmp_path}/BN--1--seed3/iter_2.pth'
    assert change == ['harden', source, '--out', made]
    assert test[0] == 'test' and test[2] == made and '--resume' not in test


def test_a_page_is_filled_between_its_marks(trainings, tmp_path):
    with pytest.raises(run.StudyError):
        _run(tmp_path)
    text = (
        'before\n<!-- study name -->\nold\n<!-- end -->\n'
        'between\n<!-- table name mIoU -->\n<!-- end -->\n'
        'BN has <!-- value name mIoU (BN) (1) -->0<!-- end --> of it\nafter\n'
    )
    filled = page.fill(text, {'name': STUDY})
    assert filled.count('| BN | 50.5 ± 0.7 |') == 2
    assert filled.count('| SN | 50.0 |') == 2
    assert '(1) -->50.5 ± 0.7<!-- end --> of it' in filled
    assert '3 of 4 runs' in filled and 'old' not in filled
    assert filled.startswith('before\n') and filled.endswith('\nafter\n')
    assert page.fill(filled, {'name': STUDY}) == filled


def test_pages_show_the_results_that_there_are():
    for file in page.PAGES:
        text = file.read_text()
        assert page.fill(text, STUDIES) == text, f'{file}: study.py --page'


@pytest.mark.parametrize('name', STUDIES)
def test_every_cell_is_a_config_that_loads(name):
    pytest.importorskip('mmdet')
    from mmengine.config import DictAction

    cells = STUDIES[name].cells
    starts = tuple(cell.start.cell for cell in cells if cell.start)
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in {cell.name: cell for cell in (*cells, *starts)}.values():
        options = {
            key: DictAction._parse_iterable(execution.text_of(value))
            for key, value in cell.options.items()
        }
        if cell.config:
            cfg = load_config(study.ROOT / cell.config, options)
            assert cfg.norm_cfg.type in cell.row
