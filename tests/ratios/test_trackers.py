"""Ratios arrive in Weights & Biases and MLflow, both without a network."""

import pytest
import torch
from mmengine.config import Config

from tests.training import NormNetwork, runner
from whiten_plugins.norms import SN
from whiten_plugins.ratios.history import FILE_NAME, read_history

pytestmark = pytest.mark.slow
TAG = 'ratios_mean/backbone/bn'


def train(work_dir, backend):
    torch.manual_seed(0)
    runner(
        NormNetwork(SN(8)),
        work_dir,
        [dict(type='RatioHook', interval=4)],
        visualizer=dict(type='Visualizer', vis_backends=[backend]),
        cfg=Config(dict(work_dir=str(work_dir))),
    ).train()
    history = read_history(work_dir / FILE_NAME)
    return {
        iteration: rows[0][2]
        for iteration, rows in zip(history.iterations, history.mean)
    }


def records(log):
    """The records of a LevelDB log, in blocks of 32 KiB, after 7 bytes."""
    place, whole = 7, b''
    while place + 7 <= len(log):
        room = 2**15 - place % 2**15
        size = int.from_bytes(log[place + 4 : place + 6], 'little')
        kind = log[place + 6]
        if room < 7 or not kind:
            place += room
            continue
        whole += log[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b''


def test_weights_and_biases_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip('wandb')
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    expected = train(tmp_path, dict(type='WandbVisBackend'))
    wandb.teardown()  # writes what is left
    (file,) = tmp_path.glob('**/offline-run-*/*.wandb')
    found = []
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        found += [
            float(item.value_json)
            for item in record.history.item
            if TAG in (item.key, '/'.join(item.nested_key))
        ]
    assert found == pytest.approx(list(expected.values()), abs=1e-4)


def test_mlflow_in_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    uri = f'file://{tmp_path}/mlruns'
    expected = train(
        tmp_path,
        dict(type='MLflowVisBackend', exp_name='ratios', tracking_uri=uri),
    )
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name('ratios')
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, TAG)
    found = {point.step: point.value for point in history}
    assert found == pytest.approx(expected, abs=1e-4)
    mlflow.end_run()
