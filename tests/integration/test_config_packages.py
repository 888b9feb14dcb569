"""Configs find the toolkit that they inherit from."""

import pytest
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import get_installed_path, is_installed

from whiten_plugins.integration import config_packages


def test_fork_under_another_name_is_found(monkeypatch):
    monkeypatch.setattr(
        config_packages,
        'packages_distributions',
        lambda: {'pytest': ['fork-of-pytest']},
    )
    packages = {'pytest': 'upstream-of-pytest', 'absent': 'absent-too'}
    config_packages.correct_packages(packages)
    assert packages == {'pytest': 'fork-of-pytest', 'absent': 'absent-too'}


def test_what_is_installed_is_left_alone():
    packages = {'_pytest': 'pytest', 'pytest': 'pytest'}
    config_packages.correct_packages(packages)
    assert packages == {'_pytest': 'pytest', 'pytest': 'pytest'}


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
def test_toolkit_that_is_here_has_its_configs(toolkit):
    pytest.importorskip(toolkit)
    package = MODULE2PACKAGE[toolkit]
    assert is_installed(package)
    assert get_installed_path(package).endswith(toolkit)
