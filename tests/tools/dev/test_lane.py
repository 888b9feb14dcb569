"""tools/dev/lane.py: what it asks of a machine, of uv, and what it says."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / 'tools' / 'dev' / 'lane.py'
# Stands in for uv: says what it was asked for, fails as it is told to.
UV = """#!{python}
import os, pathlib, sys
if sys.argv[1] == '--version':
    print('uv 0.13.9 (stub)')
elif sys.argv[1] == 'venv':
    venv = pathlib.Path(sys.argv[-1])
    (venv / 'bin').mkdir(parents=True, exist_ok=True)
    python = venv / 'bin' / 'python'
    python.unlink(missing_ok=True)
    python.symlink_to({python!r})
    for old in venv.glob('half-installed'):
        old.unlink()
else:
    with open(os.environ['ASKED'], 'a') as asked:
        print(sys.argv, os.environ['FORCE_CUDA'], file=asked)
    print(os.environ.get('SAYS', ''))
    sys.exit(int(os.environ.get('FAILS', 0)))
"""


@pytest.fixture
def lane(monkeypatch):
    """The program as a module, without what this machine has of a GPU."""
    spec = importlib.util.spec_from_file_location('lane', PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    monkeypatch.delenv('CXX', raising=False)
    return module


@pytest.fixture
def project(lane, tmp_path, monkeypatch):
    """A project whose lanes a stub of uv makes; returns its folder."""
    uv = tmp_path / 'bin' / 'uv'
    uv.parent.mkdir()
    uv.write_text(UV.format(python=sys.executable))
    uv.chmod(0o755)
    monkeypatch.setenv('PATH', f'{uv.parent}:{os.environ["PATH"]}')
    monkeypatch.setenv('ASKED', str(tmp_path / 'asked'))
    root = tmp_path / 'project'
    (root / 'whiten_plugins').mkdir(parents=True)
    (root / 'whiten_plugins' / '__init__.py').touch()
    monkeypatch.setattr(lane, 'ROOT', root)
    made = lane.LANES['default']._replace(imports='json', disk_gb=0)
    made = made._replace(pythons=(sys.version_info[:2],) * 2)
    monkeypatch.setitem(lane.LANES, 'default', made)
    return root


def run(lane, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', ['lane.py', *arguments])
    code = lane.main()
    output = capsys.readouterr()
    return code, output.out, output.err


class TestPython:
    def test_an_old_one_can_read_the_program(self):
        ast.parse(PROGRAM.read_text(), feature_version=(3, 6))

    @pytest.mark.parametrize(
        ('version', 'name', 'asked'),
        [
            ((3, 6, 15), 'default', '3.10 to 3.13'),
            ((3, 14, 0), 'default', '3.10 to 3.13'),
            ((3, 13, 0), 'oldest', '3.10 to 3.12'),
            ((3, 10, 1), 'newest', '3.11 to 3.15'),
        ],
    )
    def test_another_one_gets_one_line(
        self, lane, version, name, asked, monkeypatch, capsys
    ):
        monkeypatch.setattr(sys, 'version_info', version)
        code, _, said = run(lane, monkeypatch, capsys, name)
        assert code == lane.LACKING
        assert said.count('\n') == 1
        assert '.'.join(map(str, version)) in said
        assert asked in said


class TestMachine:
    def test_missing_compiler_has_an_exit_code_of_its_own(
        self, lane, monkeypatch, tmp_path
    ):
        monkeypatch.setenv('PATH', str(tmp_path))
        lacking = lane.what_lacks(lane.LANES['default'])
        assert lacking.exit_code == lane.NO_COMPILER
        assert 'apt install g++' in str(lacking)
        assert 'make demo-quick' in str(lacking)
        for name in ('quick', 'oldest', 'newest'):
            made = lane.LANES[name]._replace(disk_gb=0)
            assert lane.what_lacks(made) is None

    def test_missing_headers(self, lane, monkeypatch, tmp_path):
        monkeypatch.setenv('CXX', sys.executable)
        monkeypatch.setattr(
            'sysconfig.get_paths', lambda: {'include': str(tmp_path)}
        )
        lacking = lane.what_lacks(lane.LANES['default'])
        assert 'Python.h' in str(lacking) and '-dev' in str(lacking)

    def test_too_little_disk(self, lane):
        lacking = lane.what_lacks(lane.LANES['quick']._replace(disk_gb=10**9))
        assert 'GB of free space' in str(lacking)

    @pytest.mark.parametrize(
        ('gpu', 'nvcc', 'ops'),
        [
            (False, '13', 'cpu'),
            (True, '13', 'cuda'),
            (True, '12', 'cpu'),
            (True, '', 'cpu'),
        ],
    )
    def test_gpu_operators_need_a_gpu_and_its_compiler(
        self, lane, monkeypatch, capsys, gpu, nvcc, ops
    ):
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
        monkeypatch.setattr(lane.Path, 'exists', lambda self: gpu)
        monkeypatch.setattr(lane, 'nvcc_major', lambda: nvcc)
        assert lane.which_ops(lane.LANES['default']) == ops
        assert ('CUDA 13 toolkit' in capsys.readouterr().out) == (
            gpu and ops == 'cpu'
        )
        assert lane.which_ops(lane.LANES['quick']) == 'none'


class TestUv:
    def test_one_that_is_too_old_or_broken_is_passed_over(
        self, lane, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(lane, 'ROOT', tmp_path)
        asked = []

        def captured(command, **options):
            asked.append(command)
            said = 'uv 0.8.3' if command[0] == '/usr/bin/uv' else ''
            return subprocess.CompletedProcess(command, 0, said)

        monkeypatch.setattr(lane, 'captured', captured)
        monkeypatch.setattr('shutil.which', lambda name: f'/usr/bin/{name}')
        own = tmp_path / '.uv'
        assert lane.find_uv() == str(own / 'bin' / 'uv')
        assert asked[-2] == [sys.executable, '-m', 'venv', str(own)]
        assert asked[-1][-1] == f'uv=={lane.UV_VERSION}'

    def test_fetching_it_leaves_the_project_as_it_is(
        self, lane, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(lane, 'ROOT', tmp_path)
        (tmp_path / 'README.md').touch()
        (tmp_path / '.uv').mkdir()
        monkeypatch.setattr('shutil.which', lambda name: None)
        # No index: a venv is made, and nothing is fetched into it.
        monkeypatch.setenv('PIP_NO_INDEX', '1')
        monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path))
        with pytest.raises(lane.LaneError, match='uv'):
            lane.find_uv()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            '.uv',
            'README.md',
        ]

    @pytest.mark.parametrize(
        ('output', 'message'),
        [
            ('/usr/bin/python3: No module named venv', 'has no venv module'),
            ('ensurepip is not\navailable', 'has no venv module'),
            ('NewConnectionError(...)', 'pip reaches no package index'),
            ('ERROR: x\nerror: no such option', 'no such option'),
        ],
    )
    def test_why_it_cannot_be_fetched_is_one_line(self, lane, output, message):
        assert message in lane.why_no_uv(output)
        assert '\n' not in lane.why_no_uv(output)


class TestSetUp:
    def test_interrupted_is_begun_anew_and_finished_is_left(
        self, lane, project, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setenv('FAILS', '1')
        monkeypatch.setenv('SAYS', 'a.cpp:1: error: no such thing')
        code, out, err = run(lane, monkeypatch, capsys)
        assert (code, err.count('\n')) == (lane.FAILED, 1)
        assert 'a.cpp:1: error: no such thing' in err
        assert (project / '.uv' / 'default.log').exists()
        assert 'usually' in out

        (project / '.venv' / 'half-installed').touch()
        monkeypatch.setenv('FAILS', '0')
        monkeypatch.setenv('SAYS', 'Installed 1 package')
        code, out, err = run(lane, monkeypatch, capsys)
        assert (code, err) == (0, '')
        assert 'Installed 1 package' in out and '.venv is ready' in out
        assert not (project / '.venv' / 'half-installed').exists()

        monkeypatch.setenv('SAYS', 'Audited 1 package')
        monkeypatch.setattr(lane, 'check_imports', pytest.fail)
        code, out, err = run(lane, monkeypatch, capsys)
        assert (code, err, out.count('\n')) == (0, '', 1)

    def test_ops_are_in_the_key_of_uvs_cache(
        self, lane, project, tmp_path, monkeypatch, capsys
    ):
        run(lane, monkeypatch, capsys)
        monkeypatch.setattr(lane, 'which_ops', lambda made: 'cuda')
        run(lane, monkeypatch, capsys)
        cpu, cuda = (tmp_path / 'asked').read_text().splitlines()
        assert "mmcv:build=1-cpu'" in cpu and cpu.endswith(' 0')
        assert "mmcv:build=1-cuda'" in cuda and cuda.endswith(' 1')

    def test_without_a_compiler_a_cache_is_tried(
        self, lane, project, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setenv('CXX', 'no-such-compiler')
        monkeypatch.setenv('FAILS', '1')
        code, _, err = run(lane, monkeypatch, capsys)
        assert code == lane.NO_COMPILER and 'no-such-compiler' in err
        monkeypatch.setenv('FAILS', '0')
        assert run(lane, monkeypatch, capsys)[0] == 0
        for line in (tmp_path / 'asked').read_text().splitlines():
            assert '--offline' in line

    @pytest.mark.parametrize(
        ('says', 'message'),
        [
            ('error: dns error: failed to lookup', 'uv reaches no package'),
            ('error: No space left on device (os error 28)', 'disk is full'),
        ],
    )
    def test_what_is_missing_is_one_line(
        self, lane, project, monkeypatch, capsys, says, message
    ):
        monkeypatch.setenv('FAILS', '1')
        monkeypatch.setenv('SAYS', says)
        code, _, err = run(lane, monkeypatch, capsys)
        assert code == lane.FAILED
        assert message in err and err.count('\n') == 1

    def test_environment_that_cannot_import_is_not_finished(
        self, lane, project, monkeypatch, capsys
    ):
        broken = lane.LANES['default']._replace(imports='no_such_module')
        monkeypatch.setitem(lane.LANES, 'default', broken)
        code, _, err = run(lane, monkeypatch, capsys)
        assert code == lane.FAILED and 'no_such_module' in err
        assert (project / '.venv' / 'lane').read_text() == 'unfinished'

    def test_folder_of_somebody_else_is_not_written_into(
        self, lane, project, monkeypatch, capsys
    ):
        theirs = project / '.venv'
        theirs.mkdir()
        (theirs / 'thesis.tex').touch()
        code, _, err = run(lane, monkeypatch, capsys)
        assert code == lane.LACKING and 'was not made by this' in err
        assert list(theirs.iterdir()) == [theirs / 'thesis.tex']
