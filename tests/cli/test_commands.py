"""`whiten` and how its commands end."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import pytest

from whiten_plugins import __version__, cli
from whiten_plugins.cli import main, run_command
from whiten_plugins.utils.process import MESSAGE_LENGTH
from whiten_plugins.utils.requirements import MissingPackageError

FOLDER = Path(cli.__file__).parent
ROOT = Path(__file__).parents[2]
PACKAGE = 'whiten_plugins'


@pytest.fixture
def command(monkeypatch):
    """Makes a command of a function."""

    def make(run, **attributes):
        module = ModuleType(f'{cli.__name__}.made_up')
        module.configure = lambda parser: None
        module.run = run
        vars(module).update(attributes)
        monkeypatch.setitem(cli.COMMANDS, 'made-up', 'do something')
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return make


def test_every_command_is_a_file_and_every_file_a_command():
    files = {
        path.stem
        for path in FOLDER.glob('*.py')
        if '\ndef configure(' in path.read_text()
    }
    assert {name.replace('-', '_') for name in cli.COMMANDS} == files


def test_help_lists_the_commands_without_loading_torch():
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', PACKAGE, '--help'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith('  ')]
    assert [name for name in listed if name in cli.COMMANDS] == [*cli.COMMANDS]
    loaded = {
        line.rpartition('|')[2].strip() for line in done.stderr.split('\n')
    }
    assert f'{PACKAGE}.cli' in loaded and 'torch' not in loaded


def test_torch_is_loaded_after_the_environment_is_set(tmp_path):
    """A module in the place of torch says what it finds."""
    for name in ('torch', 'mmengine'):
        (tmp_path / f'{name}.py').write_text(
            'import os, sys; sys.exit(os.environ.get("OMP_WAIT_POLICY"))'
        )
    environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'}
    environment.pop('OMP_WAIT_POLICY', None)
    for start in (['-m', PACKAGE, 'norms'], [ROOT / 'tools/print_norms.py']):
        done = subprocess.run(
            [sys.executable, *start, 'none.py'],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.stderr == 'PASSIVE\n'


def test_version(capsys):
    with pytest.raises(SystemExit) as exit:
        main(['--version'])
    assert exit.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ('argv', 'message'),
    [([], 'required: COMMAND'), (['folds'], "invalid choice: 'folds'")],
)
def test_no_command_or_an_unknown_one(argv, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(argv)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('two\n  lines'), 'two lines'),
        (
            OSError(errno.ENOSPC, 'No space left on device', '/full/a.pth'),
            '/full/a.pth: No space left on device',
        ),
        (MissingPackageError('needs jinja2: pip'), 'needs jinja2: pip'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, capsys, error, line):
    def run(args):
        raise error

    command(run)
    with pytest.raises(SystemExit) as exit:
        main(['made-up'])
    assert exit.value.code == 2
    assert capsys.readouterr().err == f'whiten made-up: error: {line}\n'


def test_a_message_has_a_bounded_length(command, capsys):
    def run(args):
        raise ValueError('begin' + 20_000 * 'x' + 'end')

    command(run)
    with pytest.raises(SystemExit):
        main(['made-up'])
    error = capsys.readouterr().err
    assert len(error) < MESSAGE_LENGTH + 50
    assert 'begin' in error and error.endswith('end\n')


def test_other_errors_keep_their_traceback(command):
    def run(args):
        raise ValueError('while training')

    command(run, ERRORS=(KeyError,))
    with pytest.raises(ValueError, match='while training'):
        main(['made-up'])


def test_interruption_is_exit_code_130_without_traceback(command, capsys):
    def run(args):
        raise KeyboardInterrupt

    command(run)
    assert main(['made-up']) == 130
    assert capsys.readouterr().err == '\nwhiten made-up: interrupted\n'


def test_termination_leaves_no_temporary_folder(command, tmp_path):
    def run(args):
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), signal.SIGTERM)

    command(run)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit:
        main(['made-up'])
    assert exit.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_children_are_terminated_as_ever(command):
    def run(args):
        ready, say = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(say, b'.')
            time.sleep(60)
            os._exit(1)
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM

    command(run)
    assert main(['made-up']) == 0


def test_a_reader_that_has_seen_enough_is_no_error(command, tmp_path):
    code = (
        'import sys, types\n'
        'from whiten_plugins import cli\n'
        'module = types.ModuleType("whiten_plugins.cli.made_up")\n'
        'module.configure = lambda parser: None\n'
        'module.run = lambda args: print("line\\n" * 100_000)\n'
        'sys.modules[module.__name__] = module\n'
        'cli.COMMANDS["made-up"] = ""\n'
        'sys.exit(cli.main(["made-up"]))'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b''
        assert process.wait() == 0


def test_environment_of_a_notebook_is_not_taken_over(command, monkeypatch):
    monkeypatch.setenv('MPLBACKEND', 'module://matplotlib_inline.backend')
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    command(lambda args: None)
    assert run_command('made-up', []) == 0
    assert os.environ['MPLBACKEND'] == 'agg'
    assert os.environ.pop('OMP_WAIT_POLICY') == 'PASSIVE'


@pytest.mark.parametrize(
    ('name', 'before'),
    [('MPLBACKEND', 'TkAgg'), ('OMP_WAIT_POLICY', 'ACTIVE')],
)
def test_what_the_user_set_stays(command, monkeypatch, name, before):
    monkeypatch.setenv(name, before)
    command(lambda args: None)
    run_command('made-up', [])
    assert os.environ[name] == before
