"""The manifest: what a mini data set was made with, and its files' hashes.

It tells a folder that holds exactly the data set asked for, which is used
again, from a folder of the user's, which is left alone.
"""

import hashlib
import json
from pathlib import Path

NAME = 'mini_dataset.json'
VERSION = 1  # of the scenes and the files: raise it when either changes


def write(root: Path, arguments: dict) -> None:
    """Write the manifest of a finished data set into its folder."""
    content = dict(version=VERSION, arguments=arguments, files=_hashes(root))
    (root / NAME).write_text(json.dumps(content, indent=1) + '\n')


def is_made(out: Path, arguments: dict) -> bool:
    """Return whether a folder holds these arguments' data set, unchanged.

    Args:
        out: The folder.
        arguments: What the data set is made with.

    Returns:
        False if there is no such folder or it is empty.

    Raises:
        FileExistsError: If it holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    advice = 'give another folder or remove it first'
    try:
        found = json.loads((out / NAME).read_text())
        made_with = dict(found['arguments'], version=found['version'])
        expected = dict(found['files'])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise FileExistsError(
            f'{out} exists and is not a mini data set: {advice}'
        ) from None
    wanted = dict(arguments, version=VERSION)
    if made_with != wanted:
        other = ', '.join(
            f'{key} {made_with.get(key)} instead of {value}'
            for key, value in {**dict.fromkeys(made_with), **wanted}.items()
            if made_with.get(key) != value
        )
        raise FileExistsError(
            f'{out} holds another mini data set ({other}): {advice}'
        )
    present = _hashes(out)
    changed = [
        name
        for name in sorted(expected | present)
        if expected.get(name) != present.get(name)
    ]
    if changed:
        raise FileExistsError(
            f'{out} holds this mini data set, but {changed[0]} was changed, '
            f'added or removed: {advice}'
        )
    return True


def _hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file() and path != root / NAME
    }
