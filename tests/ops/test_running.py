"""Running statistics."""

import torch

from whiten_plugins.ops.running import Running, update_running


def batch():
    mean = torch.full((1, 2, 3), 4.0)
    return mean, 5 * torch.eye(3).repeat(1, 2, 1, 1)


def start():
    return Running(torch.zeros(6), torch.zeros(2, 3, 3))


def test_momentum_is_the_weight_of_the_batch():
    running = start()
    update_running(running, *batch(), momentum=0.25)
    assert running.mean.tolist() == [1.0] * 6
    torch.testing.assert_close(
        running.second, 1.25 * torch.eye(3).repeat(2, 1, 1)
    )


def test_a_bad_group_keeps_its_old_values_whole():
    running = start()
    mean, cov = batch()
    cov[0, 1, 0, 2] = torch.inf
    update_running(running, mean, cov, momentum=0.25)
    assert running.mean.tolist() == [1.0] * 3 + [0.0] * 3
    assert running.second[0].any() and not running.second[1].any()


def test_moments_are_views_of_the_buffers():
    running = start()
    mean, second = running.moments(3, torch.float32)
    assert mean.shape == (1, 2, 3) and second.shape == (1, 2, 3, 3)
    mean += 1
    second += 2
    assert (running.mean == 1).all() and (running.second == 2).all()
