"""The page of the demo is what the recorded demo reached."""

import json

import pytest

pytest.importorskip('mmdet')

from benchmarks import demo


def test_the_page_shows_the_recorded_demo():
    found = json.loads(demo.RESULT.read_text())
    page = demo.PAGE.read_text()
    assert demo.fill(page, found) == page, 'python -m benchmarks.demo draw'
    assert f'{found["metrics"]["coco/segm_mAP"] * 100:.1f}' in page
