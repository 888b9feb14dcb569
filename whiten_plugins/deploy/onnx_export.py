"""Networks with these norms as ONNX files, compared with PyTorch."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..norms.base import WhiteningNorm
from ..utils.files import check_folder, check_free, write_files
from ..utils.module_state import copy_model
from ..utils.requirements import require
from .fixed_map import norm_coefficients
from .network import traceable_network

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
TOLERANCE = 1e-4
LARGEST_FILE = 1536 * 2**20
"""Bytes of weights beyond which torch writes them into a file of their
own."""
OTHER_SIZE = 32
"""Pixels that an image is larger in the second comparison of a dynamic
network."""


class ExportError(ValueError):
    """A network that cannot be exported, or became another one."""


def export_onnx(
    model: nn.Module,
    file: str | Path,
    input_shape: Sequence[int],
    dynamic: bool = False,
    *,
    overwrite: bool = True,
) -> float:
    """Write a network as an ONNX file and compare it in onnxruntime.

    Of a segmentor this is everything from normalized images to ``logits`` of
    their size; of a detector backbone and neck (``features_0``, …), since
    ONNX has no operators for what follows. The opset is the default of the
    installed torch.

    Args:
        model: a network of images in evaluation mode.
        file: the ONNX file. Weights beyond 1.5 GiB go beside it, into a file
            of this name and ``.data``.
        input_shape: of one image, (C, H, W).
        dynamic: any number of images of any size, not this one alone.
        overwrite: replace these files if they exist.

    Returns:
        float: The largest difference from PyTorch's output, relative to its
        largest value.

    Raises:
        MissingPackageError: if onnx, onnxscript or onnxruntime is missing.
        ExportError: if torch has no exporter or cannot export the network,
            the network takes no such image, or the outputs differ by more
            than 1e-4. No file is written then.
        OSError: if the files cannot be written, or exist and are not to be
            replaced.
    """
    _check_exporter()
    file = Path(file)
    _check_free(file, model, overwrite)
    network = traceable_network(copy_model(model)).cpu()
    network.train(False)
    _fix_matrices(network)
    image = torch.randn(2 if dynamic else 1, *input_shape)
    images = [image]
    if dynamic:
        larger = [size + OTHER_SIZE for size in input_shape[1:]]
        images.append(torch.randn(1, input_shape[0], *larger))
    for x in images:
        _check_image(network, x)
    differences: list[float] = []

    def write(path: Path) -> None:
        try:
            _export(network, image, path, dynamic)
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise ExportError(
                f'torch.onnx cannot export it: {reason}'
            ) from error
        differences.extend(_difference(network, path, x) for x in images)
        if not max(differences) <= TOLERANCE:
            raise ExportError(
                f'{file.name} would differ from PyTorch by '
                f'{max(differences):.1e} of the largest output'
            )

    write_files({file: write}, overwrite=overwrite)
    return max(differences)


def _check_exporter() -> None:
    if not hasattr(torch.compiler, 'is_exporting'):
        raise ExportError(
            f'ONNX export needs torch 2.7 or newer, found {torch.__version__}'
        )
    require(*PACKAGES, for_='ONNX export')


def _check_free(file: Path, model: nn.Module, overwrite: bool) -> None:
    size = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    parts = [Path(f'{file}.data')] if size > LARGEST_FILE else []
    check_free([file, *parts], overwrite)
    check_folder(file.parent, size)


def _fix_matrices(network: nn.Module) -> None:
    """Replace running covariances with constant whitening matrices.

    This applies to norms with running covariances alone: evaluation need not
    compute the matrix each time, and eigenvectors, which ONNX has no operator
    for, are computed here.
    """
    for norm in network.modules():
        if not isinstance(norm, WhiteningNorm) or norm.stats:
            continue
        if norm.covariance_buffer == 'running_cov':
            _, _, W = norm_coefficients(norm, norm.spec.stats)
            norm.spec = dataclasses.replace(norm.spec, running='matrix')
            del norm.running_cov
            norm.register_buffer(norm.covariance_buffer, W.squeeze(0))


def _export(
    network: nn.Module, image: Tensor, path: Path, dynamic: bool
) -> None:
    outputs = _outputs(network, image)
    name = getattr(network, 'output', 'output')
    names = [f'{name}_{i}' for i in range(len(outputs))]
    sizes = {0: 'batch', 2: 'height', 3: 'width'}
    with warnings.catch_warnings(), _resize_without_warnings():
        warnings.simplefilter('ignore')  # about sizes that are constants
        torch.onnx.export(
            network,
            (image,),
            path,
            input_names=['input'],
            output_names=names if len(names) > 1 else [name],
            dynamic_shapes=(sizes,) if dynamic else None,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _check_image(network: nn.Module, images: Tensor) -> None:
    try:
        _outputs(network, images)
    except (RuntimeError, ValueError) as error:
        height, width = images.shape[2:]
        raise ExportError(
            f'the model takes no image of {height}×{width}: '
            f'{" ".join(str(error).split())}'
        ) from error


def _outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        outputs = network(images)
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


@contextmanager
def _resize_without_warnings() -> Iterator[None]:
    """Turn off the warnings of mmseg's ``resize``.

    For them alone it reads sizes into Python, and the sizes would be constants
    in the exported network.
    """
    wrappers = sys.modules.get('mmseg.models.utils.wrappers')
    if wrappers is None:
        yield
        return
    defaults = wrappers.resize.__defaults__
    wrappers.resize.__defaults__ = (*defaults[:-1], False)
    try:
        yield
    finally:
        wrappers.resize.__defaults__ = defaults


def _difference(network: nn.Module, path: Path, images: Tensor) -> float:
    """Return the largest difference between the network and onnxruntime.

    It is relative to the largest value of the network's output.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )
    found = session.run(None, {'input': images.numpy()})
    return max(
        ((torch.from_numpy(y) - expected).abs().max() / expected.abs().max())
        .nan_to_num(nan=torch.inf)
        .item()
        for y, expected in zip(found, _outputs(network, images))
    )
