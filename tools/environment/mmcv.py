"""mmcv with its ops: built once for a torch and a Python, then reused.

pip's own cache does not know which torch a wheel was compiled against, and
offers one that fails at import; hence a cache whose key says it.
"""

import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

_MEMORY_OF_A_COMPILER = 1.5e9


def which_ops() -> str:
    """The ops to compile: 'cuda' with a GPU and its compiler, else 'cpu'."""
    return 'cuda' if has_gpu() and has_nvcc() else 'cpu'


def has_gpu() -> bool:
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1')
    return not hidden and Path('/dev/nvidiactl').exists()


def has_nvcc() -> bool:
    home = os.environ.get('CUDA_HOME', '/usr/local/cuda')
    return bool(shutil.which('nvcc') or shutil.which(f'{home}/bin/nvcc'))


def wheel_directory(torch: str, ops: str) -> Path:
    """Where the wheels for this machine's Python and that torch are kept.

    `WHITEN_PLUGINS_CACHE` names another place for the cache.
    """
    user_cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    cache = os.environ.get('WHITEN_PLUGINS_CACHE') or Path(
        user_cache, 'whiten_plugins'
    )
    machine = sysconfig.get_platform() + ''.join(platform.libc_ver())
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    return Path(cache, 'wheels', f'torch{torch}-{python}-{machine}-{ops}')


def find_wheel(directory: Path, version: str) -> Path | None:
    """The wheel of mmcv kept in a directory, None if there is none."""
    return next(directory.glob(f'mmcv-{version}-*.whl'), None)


def keep_wheel(built: Path, directory: Path) -> Path:
    """Move a wheel into the cache, where it appears whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    arriving = directory / f'{built.name}.{os.getpid()}'
    shutil.copyfile(built, arriving)
    built.unlink()
    return arriving.replace(directory / built.name)


def build_environment(ops: str) -> dict[str, str]:
    """Variables for mmcv's setup.py: ops, all cores, no debug symbols.

    Symbols would take a third of the build's time and make objects 80 times
    as large.
    """
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    compilers = min(
        len(os.sched_getaffinity(0)), int(memory / _MEMORY_OF_A_COMPILER)
    )
    variables = {
        'MMCV_WITH_OPS': '1',
        'FORCE_CUDA': str(int(ops == 'cuda')),
        'MAX_JOBS': str(max(1, compilers)),
    }
    for flags in ('CFLAGS', 'CXXFLAGS'):
        variables[flags] = f'{os.environ.get(flags, "")} -g0'.strip()
    if ops == 'cpu':
        variables['CUDA_VISIBLE_DEVICES'] = ''
    return variables
