"""The check of a GPU, as far as it goes on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from whiten_plugins.ops.backends.selection import triton_refusal

ROOT = Path(__file__).parents[2]
# Only torch and Triton are there.
ALONE = """
import runpy, sys
for name in ('mmengine', 'rich', 'numpy.testing'):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)


def check(*arguments):
    tool = str(ROOT / 'tools' / 'gpu_check.py')
    return subprocess.run(
        [sys.executable, '-c', ALONE, tool, *arguments],
        capture_output=True,
        text=True,
    )


def test_a_check_runs_in_the_interpreter(tmp_path):
    done = check('--interpret', '--only', 'large mean', '--out', str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert 'large mean: passed' in done.stdout
    found = json.loads((tmp_path / 'gpu_check.json').read_text())
    (outcome,) = found['checks']
    assert outcome['state'] == 'passed' and found['machine']['triton']
    assert '| large mean | passed |' in (tmp_path / 'gpu_check.md').read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_it_says_so():
    done = check()
    assert done.returncode == 2 and '--interpret' in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_checks_pass_in_the_interpreter_or_say_what_they_need():
    done = check('--interpret')
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ('2^31 elements', 'CUDA graphs', 'streams', 'devices'):
        assert f'{name}: left out: needs a GPU' in done.stdout
    for name in ('steps', 'parity bfloat16', 'processes'):
        assert f'{name}: passed' in done.stdout


@pytest.fixture
def checks(monkeypatch):
    from benchmarks import gpu_checks

    def sound(setting):
        return 'all'

    def wrong(setting):
        raise AssertionError('output is off by 0.3')

    def elsewhere(setting):
        raise gpu_checks.LeftOut('needs two GPUs')

    planted = {'sound': sound, 'wrong': wrong, 'elsewhere': elsewhere}
    monkeypatch.setattr(gpu_checks, 'CHECKS', planted)
    return gpu_checks


def test_outcomes_say_what_happened(checks, capsys):
    setting = checks.Setting(torch.device('cpu'), True)
    seen = []
    found = checks.run(setting, checks.CHECKS, seen.append)
    assert seen == found
    assert [outcome[:3] for outcome in found] == [
        ('sound', 'passed', 'all'),
        ('wrong', 'failed', 'AssertionError: output is off by 0.3'),
        ('elsewhere', 'left out', 'needs two GPUs'),
    ]
    assert checks.wrong(found) and not checks.wrong(found[::2])
    assert 'Traceback' in capsys.readouterr().err


def test_differences_beyond_rounding_are_failures():
    from benchmarks.gpu_norms import assert_same

    expected = {'output': torch.ones(3), 'input': torch.ones(3)}
    half = {name: value.half() for name, value in expected.items()}
    assert assert_same('same', half, expected, torch.float16) == 0
    off = {**expected, 'output': torch.tensor([1, 1, 1.001])}
    with pytest.raises(AssertionError, match='SN: output is off by 1.0e-03'):
        assert_same('SN', off, expected)


def test_times_are_shown_beside_batch_norm():
    from benchmarks import gpu_table

    result = {'ratio': 1.5, 'quartiles': [1.4, 1.6], 'milliseconds': 0.25}
    row = dict(norm='SN', dtype='float32', format='contiguous', shape=[2, 8])
    text = gpu_table.show(
        {
            'machine': {'chip': 'a GPU', 'clocks.current.sm [MHz]': '1980'},
            'checks': [],
            'times': [{**row, 'with host': result, 'GPU alone': result}],
        }
    )
    assert '1.50 [1.40-1.60] 0.250 ms' in text and '1980' in text
    assert '| SN | float32 | contiguous | 1.50 | 1.50 |' in text
