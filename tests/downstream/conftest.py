"""Mini data and the toolkits' scope for the tests of whole networks."""

import pytest
from mmengine.registry import DefaultScope

from whiten_plugins.demo_data import FORMATS, make_mini_dataset

from .models import SEGMENTORS, SIZE

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Folders of the mini data sets, two images each, by format."""
    folder = tmp_path_factory.mktemp('data')
    for format in FORMATS:
        make_mini_dataset(
            folder / format, format, num_train=2, num_val=1, size=SIZE
        )
    return {format: folder / format for format in FORMATS}


@pytest.fixture(autouse=True)
def scope(request):
    """The scope of the test's ``architecture``; mmseg's where it has none."""
    params = getattr(request.node, 'callspec', None)
    name = params.params.get('architecture', 'pspnet') if params else 'pspnet'
    toolkit = 'mmseg' if name in SEGMENTORS else 'mmdet'
    with DefaultScope.overwrite_default_scope(toolkit):
        yield
