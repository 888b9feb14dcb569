"""What testing adds to a config, for detectors and for segmentors."""

import pytest
from mmengine.config import Config

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.runner import (
    enable_tta,
    enable_visualization,
    save_predictions,
)


def _config(scope):
    return Config(
        dict(
            default_scope=scope,
            model=dict(type='Net'),
            default_hooks=dict(visualization=dict(type='Hook')),
            visualizer=dict(type='Visualizer'),
            test_evaluator=dict(type='Metric'),
            test_dataloader=dict(
                dataset=dict(pipeline=[dict(type='Load'), dict(type='Pack')])
            ),
        )
    )


def test_pictures_go_where_each_toolkit_puts_them():
    det, seg = _config('mmdet'), _config('mmseg')
    for cfg in (det, seg):
        enable_visualization(cfg, False, 'pictures', 2)
        assert cfg.default_hooks.visualization.draw
    assert det.default_hooks.visualization.test_out_dir == 'pictures'
    assert seg.visualizer.save_dir == 'pictures'


def test_window_stays_for_the_wait_time():
    cfg = _config('mmdet')
    enable_visualization(cfg, True, None, 0.5)
    assert cfg.default_hooks.visualization == dict(
        type='Hook', draw=True, interval=1, show=True, wait_time=0.5
    )


def test_pictures_need_the_hook():
    cfg = _config('mmdet')
    del cfg.default_hooks['visualization']
    with pytest.raises(ConfigError, match='default_hooks.visualization'):
        enable_visualization(cfg, True, None, 2)


def test_detections_are_dumped_beside_the_metrics():
    cfg = _config('mmdet')
    save_predictions(cfg, 'out.pkl')
    assert cfg.test_evaluator == [
        dict(type='Metric'),
        dict(type='DumpDetResults', out_file_path='out.pkl'),
    ]
    with pytest.raises(ConfigError, match='.pkl or .pickle file, got out'):
        save_predictions(cfg, 'out')


def test_label_maps_are_saved_by_the_metric():
    cfg = _config('mmseg')
    save_predictions(cfg, 'out')
    assert cfg.test_evaluator.output_dir == 'out'


def test_augmentation_of_the_config_is_used():
    cfg = _config('mmseg')
    cfg.tta_model = dict(type='SegTTAModel')
    cfg.tta_pipeline = [dict(type='TestTimeAug')]
    enable_tta(cfg)
    assert cfg.model == dict(type='SegTTAModel', module=dict(type='Net'))
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline


def test_detector_is_flipped_by_default():
    cfg = _config('mmdet')
    enable_tta(cfg)
    assert cfg.model.type == 'DetTTAModel'
    kinds = [t.type for t in cfg.test_dataloader.dataset.pipeline]
    assert kinds == ['Load', 'TestTimeAug']


def test_segmentor_needs_augmentation_in_its_config():
    with pytest.raises(ConfigError, match='--tta needs tta_model'):
        enable_tta(_config('mmseg'))


def test_unknown_scope_is_refused():
    with pytest.raises(ConfigError, match="the config has 'mmpose'"):
        save_predictions(_config('mmpose'), 'out')
