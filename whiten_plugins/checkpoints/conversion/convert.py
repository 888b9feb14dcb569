"""The one way from a checkpoint to another."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mmengine.config import Config

from ...utils.files import check_free
from ..reading import CheckpointError, module_metadata, with_metadata
from .backbone import Fitted, build_backbone, fit_backbone, read_config
from .caveats import source_caveats, target_caveats
from .errors import ConversionError
from .fetching import resolve
from .layouts import COUNT, OURS, State, to_published
from .norms import NormChange, kind_of_state, norm_states
from .report import Report
from .source import Source, read_source
from .writing import write_converted


def convert_checkpoint(
    src: str | Path,
    dst: str | Path,
    config: str | Path | None = None,
    *,
    source: str = 'auto',
    to: str = OURS,
    init_ratios: str = 'uniform',
    weights: str | None = None,
    trust_pickle: bool = False,
    overwrite: bool = False,
) -> Report:
    """Convert a checkpoint for a config's backbone, or to a published layout.

    The result loads with ``init_cfg=dict(type='Pretrained', checkpoint=dst)``,
    with no missing and no unexpected keys; or, with ``to``, in the authors'
    code.

    Args:
        src: checkpoint of an ImageNet ResNet: a file, or an address of
            :data:`~.fetching.SOURCES`, which is fetched into torch's cache.
        dst: file to write: ``state_dict`` and, as ``meta``, the report,
            which is also written beside it, as ``.json``.
        config: file with ``model.backbone``, or a backbone as ``model``.
            Without it, which needs ``to``, norms keep their types.
        source: layout of ``src``, a key of ``LAYOUTS`` or 'keras'; 'auto' to
            detect it.
        to: layout of ``dst``; 'mm' is that of the toolkits.
        init_ratios: where ratios of SN and SW start that ``src`` does not
            have: 'uniform', or 'bn', at the batch statistics.
        weights: key of the weights in ``src``, for averaged ones. Default:
            ``state_dict``, else ``model``, else the file itself.
        trust_pickle: load objects in ``src`` too, which executes what it
            says.
        overwrite: replace ``dst`` and its report if they exist.

    Returns:
        Report: What was done.

    Raises:
        CheckpointError: if ``src`` cannot be read or cannot become ``dst``.
        ConfigError: if the config cannot be used.
        OSError: if ``dst`` cannot be written, or is there and not to be
            overwritten.
    """
    if config is None and to == OURS:
        raise ConversionError(
            'name the --config whose backbone is to load DST, or a published '
            'layout with --to'
        )
    dst = Path(dst)
    files = (dst, dst.with_suffix('.json'))
    if files[0] == files[1]:
        raise ConversionError(f'{dst}: .json is the report; name it .pth')
    check_free(files, overwrite, file_name='DST')
    target = read_config(config) if config is not None else None
    path = resolve(src)
    check_free(files, overwrite, path, source_name='SRC', file_name='DST')
    try:
        found = read_source(path, source, trust_pickle, weights)
        fitted, notes = _fit(found, target, init_ratios)
        state = fitted.state if to == OURS else _published(found, fitted, to)
    except CheckpointError as error:
        message = str(error).removeprefix(f'{path}: ')
        raise ConversionError(f'{src}: {message}') from error
    report = Report(
        source=str(src),
        layout=found.layout,
        architecture=str(found.architecture),
        config=None if config is None else str(config),
        destination=str(dst),
        to=to,
        init_ratios=init_ratios,
        fitted=fitted,
        learned=found.learned,
        notes=notes,
    )
    facts = report.as_dict()
    # Copies, so that neither the map of SRC nor shared memory is saved.
    tensors = with_metadata(
        {key: value.detach().clone() for key, value in state.items()},
        module_metadata(state) if to == OURS else {},
    )
    package = sys.modules[__name__.partition('.')[0]]
    meta = {'whiten_plugins_version': package.__version__, **facts}
    text = json.dumps(facts, indent=2, ensure_ascii=False) + '\n'
    write_converted({'meta': meta, 'state_dict': tensors}, text, files)
    return report


def _fit(
    found: Source, target: tuple[Config, str] | None, init_ratios: str
) -> tuple[Fitted, list[str]]:
    """Fit the source to the config's backbone, with notes for the user."""
    notes = list(source_caveats(found))
    if target is None:
        return _as_it_is(found), notes
    cfg, key = target
    backbone = build_backbone(cfg, key)
    fitted = fit_backbone(found.state, found.described, backbone, init_ratios)
    notes += target_caveats(found.layout, fitted, backbone, cfg)
    return fitted, notes


def _as_it_is(found: Source) -> Fitted:
    state, norms = found.state, []
    for name, tensors in norm_states(state).items():
        layer = found.described.get(name)
        kind = kind_of_state(tensors, layer)
        stats: tuple[str, ...] = ()
        if layer and layer.learns_ratios and layer.named:
            stats = layer.stats
        norms.append(
            NormChange(
                name,
                kind,
                kind,
                list(tensors),
                stats=stats,
                num_instance=layer.num_instance if layer else None,
            )
        )
    names = {norm.name for norm in norms}
    modules = dict.fromkeys(key.rpartition('.')[0] for key in state)
    return Fitted(state, norms, [m for m in modules if m not in names])


def _published(found: Source, fitted: Fitted, to: str) -> State:
    """Convert the fitted state to a published layout.

    Counts of batches that its file never had are left out.
    """
    added = found.added.union(fitted.added)
    state = {
        key: value
        for key, value in fitted.state.items()
        if not (key in added and key.endswith(COUNT) and value == 0)
    }
    return to_published(state, fitted.published, to)
