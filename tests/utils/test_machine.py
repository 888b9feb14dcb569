import torch

from whiten_plugins.utils import machine


def test_machines_without_a_list_of_processors(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, '_CPUINFO', tmp_path / 'none')
    assert machine.processor_facts('flags') == []
    assert machine.processor_name()
    found = machine.describe_machine(torch.device('cpu'))
    assert found['chip'].startswith(machine.processor_name())


def test_lines_of_several_cores_are_told_once(tmp_path, monkeypatch):
    file = tmp_path / 'cpuinfo'
    core = 'processor : 0\nmodel name : Fast 9000\nflags : avx2 fma\n'
    file.write_text(core + core)
    monkeypatch.setattr(machine, '_CPUINFO', file)
    assert machine.processor_name() == 'Fast 9000'
    assert machine.processor_facts('flags') == ['flags : avx2 fma']
