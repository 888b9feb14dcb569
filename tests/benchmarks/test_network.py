import torch

from benchmarks import network


def test_every_network_is_measured():
    found = network.run([32], torch.device('cpu'), torch.float32, 2)
    assert list(found['results']['32 px']) == ['BN', *network.NETWORKS]
    assert found['summaries']['peak GB, 32 px']['SW sw14'] > 0
