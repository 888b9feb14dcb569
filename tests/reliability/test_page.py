"""The page shows what was measured, and nothing else."""

import pytest

from tests.reliability import page


def test_the_page_is_drawn_from_the_results(request):
    if request.config.getoption('--record', False):
        pytest.skip('it is drawn when all tests have run')
    text = page.PAGE.read_text('utf-8')
    assert text == page.render(), (
        'run python -m tests.reliability.page: what it draws has changed'
    )


def test_every_result_has_its_section():
    areas = {file.stem for file in page.RESULTS.glob('*.json')}
    assert areas <= page.AREAS.keys()
