"""A run is a checkpoint or a work directory, its snapshots in order."""

import math

import pytest

from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.runs import in_forward_order

from .synthetic import (
    DETECTOR,
    convolution,
    layer,
    network,
    save,
    save_history,
    training,
)


def test_a_checkpoint_is_one_snapshot(tmp_path):
    run = read_run(save(tmp_path / 'epoch_3.pth', network(), iter=90, epoch=3))
    (snapshot,) = run.snapshots
    assert (snapshot.iteration, snapshot.epoch) == (90, 3)
    assert tuple(item.name for item in run.layers) == DETECTOR
    assert run.stats == ('in', 'ln', 'bn')


def test_name_of_a_file_says_when_its_meta_does_not(tmp_path):
    snapshot = read_run(save(tmp_path / 'epoch_3.pth', network())).snapshots[0]
    assert (snapshot.iteration, snapshot.epoch) == (None, 3)


def test_work_directory_is_sorted_by_number_not_by_name(tmp_path):
    for epoch in (10, 2, 1):
        state = network(seed=epoch)
        save(tmp_path / f'epoch_{epoch}.pth', state, iter=7 * epoch)
    save(tmp_path / 'best_bbox_mAP_epoch_2.pth', network())
    run = read_run(tmp_path)
    assert run.times == [7, 14, 70]
    assert run.time_axis == 'iteration'
    last = read_run(tmp_path / 'epoch_10.pth')
    assert run.layers == last.layers


def test_epochs_count_where_iterations_are_not_known(tmp_path):
    for epoch in (2, 1):
        save(tmp_path / f'epoch_{epoch}.pth', network(seed=epoch))
    run = read_run(tmp_path)
    assert (run.time_axis, run.times) == ('epoch', [1, 2])


def test_history_alone(tmp_path):
    rows = [[[0.2, 0.3, 0.5]], [[0.1, 0.1, 0.8]]]
    save_history(tmp_path, ['bn1'], [(0, 0, *rows), (50, 1, *rows[::-1])])
    run = read_run(tmp_path)
    assert run.times == [0, 50]
    assert run.layers[0].mean == {'in': 0.1, 'ln': 0.1, 'bn': 0.8}
    assert run.snapshots[0].layers[0].var == run.layers[0].mean


def test_checkpoints_and_history_are_merged(tmp_path):
    third = [[1 / 3] * 3]
    save_history(
        tmp_path, ['bn1'], [(t, 1, third, third) for t in (0, 50, 100, 150)]
    )
    logits = [0.0, 0.0, 3.0]
    state = {**convolution('conv1', 7), **layer('bn1', logits, logits)}
    save(tmp_path / 'iter_100.pth', state, iter=100)
    run = read_run(tmp_path)
    assert run.times == [0, 50, 100, 150]
    assert [snap.path is None for snap in run.snapshots] == [1, 1, 0, 1]
    assert run.snapshots[2].layers[0].mean['bn'] > 0.9
    # What only a checkpoint knows holds for the history as well.
    assert [snap.layers[0].kernel for snap in run.snapshots] == [(7, 7)] * 4


def test_diverged_snapshots_are_left_out_with_a_note(tmp_path):
    good, bad = [[0.2, 0.3, 0.5]], [[math.nan, 0.5, 0.5]]
    save_history(tmp_path, ['bn1'], [(0, 0, good, good), (9, 1, good, bad)])
    run = read_run(tmp_path)
    assert run.times == [0]
    assert run.notes[0].startswith('1 snapshot(s) of ratio_history.jsonl')


def test_folder_without_snapshots(tmp_path):
    (tmp_path / 'notes.txt').write_text('nothing')
    with pytest.raises(CheckpointError, match='no epoch_'):
        read_run(tmp_path)


def test_damaged_history_names_the_file(tmp_path):
    (tmp_path / 'ratio_history.jsonl').write_text('{}\n')
    with pytest.raises(CheckpointError, match='ratio_history.jsonl'):
        read_run(tmp_path)


def test_a_work_directory_holds_one_training(tmp_path):
    training(tmp_path, times=(100, 200))
    save(tmp_path / 'iter_300.pth', network(DETECTOR[:3]), iter=300)
    with pytest.raises(CheckpointError, match='iter_100.pth: has other'):
        read_run(tmp_path)


def test_files_that_do_not_say_when(tmp_path):
    save(tmp_path / 'epoch_1.pth', network())
    save(tmp_path / 'iter_5.pth', network())
    with pytest.raises(CheckpointError, match='do not say when'):
        read_run(tmp_path)


def test_layers_are_arranged_by_the_forward_pass(tmp_path):
    run = read_run(training(tmp_path, names=['a.bn', 'b.bn', 'c.bn']))
    arranged = in_forward_order(
        run, {'c.bn': 7, 'a.bn': 'image', 'b.bn': None}
    )
    for before, after in zip(run.snapshots, arranged.snapshots):
        found = [(item.name, item.receptive_field) for item in after.layers]
        assert found == [('c.bn', 7), ('a.bn', 'image'), ('b.bn', None)]
        assert after.layers[0].mean == before.layers[2].mean
    assert arranged.notes == []


def test_backbone_of_a_classifier_is_found_in_a_detector(tmp_path):
    run = read_run(save(tmp_path / 'r50.pth', network(['bn1'])))
    (found,) = in_forward_order(run, {'backbone.bn1': 7}).layers
    assert (found.name, found.receptive_field) == ('bn1', 7)


def test_layers_that_do_not_run_stand_last_with_a_note(tmp_path):
    run = read_run(save(tmp_path / 'x.pth', network(['a.bn', 'b.bn'])))
    arranged = in_forward_order(run, {'b.bn': 3})
    assert [item.name for item in arranged.layers] == ['b.bn', 'a.bn']
    assert arranged.notes[0].endswith('stand last: a.bn.')


def test_config_of_another_network(tmp_path):
    run = read_run(save(tmp_path / 'x.pth', network(['a.bn'])))
    with pytest.raises(CheckpointError, match='has a.bn, the config z.gn'):
        in_forward_order(run, {'z.gn': 3})
