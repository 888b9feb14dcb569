"""What each environment consists of, and the stamp of a finished one."""

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Lane:
    """One environment.

    Args:
        venv: Its usual place, relative to the project.
        requirements: The requirement file, relative to the project.
        openmmlab: Packages installed without their dependencies, next to
            mmcv.
        mmcv: Whether mmcv is compiled with its ops.
        imports: Modules that a finished environment imports.
        packages_seconds: Usual time of installing the requirements.
        disk_gb: Free space that the environment and its making need.
        root: The project's directory.
    """

    venv: str
    requirements: str
    openmmlab: tuple[str, ...]
    mmcv: bool
    imports: tuple[str, ...]
    packages_seconds: int
    disk_gb: int
    root: Path = ROOT

    @property
    def constraints(self) -> Path:
        return self.root / 'constraints.txt'

    def pin(self, package: str) -> str:
        """The version of a package that this lane asks for."""
        requirements = (self.root / self.requirements).read_text()
        pinned = re.search(
            rf'^{package}==([^\s;]+)',
            requirements + '\n' + self.constraints.read_text(),
            re.MULTILINE,
        )
        if pinned is None:
            raise KeyError(f'{package} is pinned in no requirement file')
        return pinned[1]


LANES = {
    'default': Lane(
        venv='.venv',
        requirements='requirements.txt',
        openmmlab=('mmengine', 'mmdet', 'mmsegmentation'),
        mmcv=True,
        imports=(
            'torchvision',
            'mmcv.ops',
            'mmdet.apis',
            'mmseg.apis',
            'matplotlib.pyplot',
            'onnxruntime',
            'onnxscript',
            'plotly',
            'pytest',
            'skimage',
            'sklearn',
            'tensorboard',
        ),
        packages_seconds=120,
        disk_gb=12,
    ),
    'oldest': Lane(
        venv='.venv-oldest',
        requirements='requirements/oldest.txt',
        openmmlab=('mmengine',),
        mmcv=False,
        imports=('torch', 'mmengine.runner', 'hypothesis', 'pytest'),
        packages_seconds=120,
        disk_gb=9,
    ),
}


def fingerprint(lane: Lane, ops: str) -> dict[str, str]:
    """Everything that, when it changes, makes an environment out of date."""
    asked = hashlib.sha256(repr(lane).encode())
    for path in (lane.root / lane.requirements, lane.constraints):
        asked.update(path.read_bytes())
    return {
        'asked': asked.hexdigest(),
        'ops': ops,
        'project': str(lane.root),
        'python': '{}.{}'.format(*sys.version_info),
    }


def is_finished(stamp: Path, expected: dict[str, str]) -> bool:
    """Whether the stamp says that exactly this environment was finished."""
    try:
        return json.loads(stamp.read_text()) == expected
    except (OSError, ValueError):
        return False


def write_stamp(stamp: Path, content: dict[str, str]) -> None:
    unfinished = stamp.with_suffix('.new')
    unfinished.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(unfinished, stamp)
