"""A norm that takes over what a base set for another one says so."""

import pytest
from mmengine.registry import MODELS
from torch import nn

from whiten_plugins.analysis.norm_warnings import norm_warnings
from whiten_plugins.config.building import build_model
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.inheritance import inherited_warnings
from whiten_plugins.config.loading import load_config

pytest.importorskip('mmdet')

FROZEN = "dict(type='BN', requires_grad=False)"
GROUPED = "dict(type='GN', num_groups=4, requires_grad=True)"


@MODELS.register_module()
class BackboneHolder(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(backbone)


@pytest.fixture
def child(tmp_path):
    """Returns a config of three files, the last with a norm of its own."""

    def write(base_norm, norm):
        backbone = (
            "type='mmdet.ResNet', depth=18, base_channels=8, norm_eval=False, "
            f'norm_cfg={base_norm}'
        )
        (tmp_path / 'base.py').write_text(
            f"model = dict(backbone=dict({backbone}), type='BackboneHolder')"
        )
        (tmp_path / 'middle.py').write_text("_base_ = 'base.py'")
        file = tmp_path / 'child.py'
        file.write_text(
            "_base_ = 'middle.py'\n"
            f'model = dict(backbone=dict(norm_cfg={norm}))'
        )
        return load_config(file)

    return write


@pytest.mark.parametrize(
    ('norm', 'warned'),
    [
        ("dict(type='SW')", True),
        ("dict(type='SW', _delete_=True)", False),
        ("dict(type='SW', requires_grad=True)", False),
        ("dict(type='BN')", False),
    ],
)
def test_frozen_base(child, norm, warned):
    warnings = list(inherited_warnings(child(FROZEN, norm)))
    assert bool(warnings) == warned
    if warned:
        (warning,) = warnings
        assert warning.startswith('model.backbone.norm_cfg: requires_grad=Fal')
        assert 'inherited from base.py, which sets it for BN' in warning
        assert "norm_cfg=dict(_delete_=True, type='SW')" in warning


def test_what_is_frozen_on_purpose_is_not_mentioned(child, tmp_path):
    child("dict(type='BN')", "dict(type='SW')")
    file = tmp_path / 'grandchild.py'
    file.write_text(
        "_base_ = 'child.py'\n"
        'model = dict(backbone=dict(norm_cfg=dict(requires_grad=False)))'
    )
    assert not list(inherited_warnings(load_config(file)))


def test_type_of_the_command_line(child, tmp_path):
    child(FROZEN, FROZEN)
    options = {'model.backbone.norm_cfg.type': 'SN'}
    (warning,) = inherited_warnings(
        load_config(tmp_path / 'child.py', options)
    )
    assert 'requires_grad=False is inherited from base.py' in warning


def test_groups_of_another_norm(child):
    (warning,) = inherited_warnings(child(GROUPED, "dict(type='GW')"))
    assert 'num_groups=4 is inherited from base.py, which sets it' in warning
    assert not list(inherited_warnings(child(GROUPED, "dict(type='GN')")))


def test_the_error_says_where_an_argument_is_from(child):
    with pytest.raises(ConfigError) as caught:
        build_model(child(GROUPED, "dict(type='SW')"))
    message = str(caught.value)
    assert message.startswith('model.backbone.norm_cfg: ')
    assert "unexpected keyword argument 'num_groups'" in message
    assert 'num_groups=4 is inherited from base.py, which sets it for GN' in (
        message
    )
    assert "dict(_delete_=True, type='SW')" in message


def test_every_tool_warns(child):
    cfg = child(FROZEN, "dict(type='SW')")
    warnings = norm_warnings(build_model(cfg), cfg)
    assert any('requires_grad=False is inherited' in w for w in warnings)
