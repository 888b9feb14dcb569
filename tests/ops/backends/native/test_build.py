"""Kernels are compiled once, and what goes wrong is said."""

import ctypes

import pytest

from whiten_plugins.ops.backends.native import build


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    quick = ('-O0' if flag == '-O3' else flag for flag in build._FLAGS)
    monkeypatch.setattr(build, '_FLAGS', tuple(quick))
    return tmp_path / 'whiten_plugins' / 'kernels'


@pytest.fixture
def library():
    """The build as in a new process."""
    return build.library.__wrapped__


def compiler(path, script):
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return str(path)


def test_compiled_once_and_kept(library, cache):
    path = library()
    assert path.parent == cache and ctypes.CDLL(str(path)).affine
    written = path.stat().st_mtime_ns
    assert library() == path
    assert path.stat().st_mtime_ns == written
    assert {p.name for p in cache.iterdir()} == {
        path.name,
        path.with_suffix('.lock').name,
    }


def test_another_processor_has_a_library_of_its_own(
    library, cache, monkeypatch
):
    paths = set()
    for flags in ('avx2', 'avx512f'):
        monkeypatch.setattr(build, '_processor', lambda flags=flags: flags)
        paths.add(library())
    assert len(paths) == 2


def test_no_compiler(library, monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(build.BuildError, match=r'no C\+\+ compiler.*g\+\+'):
        library()


def test_named_compiler_that_is_missing(library, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(build.BuildError, match='no-such-compiler'):
        library()


def test_named_compiler_with_options(library, monkeypatch):
    monkeypatch.setenv('CXX', 'env c++ -w')
    assert ctypes.CDLL(str(library())).affine


def test_compiler_that_does_not_run(library, tmp_path, monkeypatch):
    path = tmp_path / 'compiler'
    path.write_bytes(b'\x7fELF of another machine')
    path.chmod(0o755)
    monkeypatch.setenv('CXX', str(path))
    with pytest.raises(build.BuildError, match='compiler does not run'):
        library()


def test_failed_compilation_leaves_nothing(
    library, cache, tmp_path, monkeypatch
):
    script = '[ "$1" = --version ] && exit 0; echo "no -fopenmp" >&2; exit 1'
    monkeypatch.setenv('CXX', compiler(tmp_path / 'broken', script))
    with pytest.raises(build.BuildError, match='no -fopenmp'):
        library()
    assert [path.suffix for path in cache.iterdir()] == ['.lock']


def test_cache_that_cannot_be_written(library, tmp_path, monkeypatch):
    (tmp_path / 'whiten_plugins').write_text('a file')
    with pytest.raises(build.BuildError, match='cannot write.*XDG_CACHE_HOME'):
        library()


def test_no_home(library, monkeypatch):
    def nowhere():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setattr(build.Path, 'home', nowhere)
    with pytest.raises(build.BuildError, match='home.*XDG_CACHE_HOME'):
        library()
