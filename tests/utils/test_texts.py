import pytest

from whiten_plugins.utils.texts import LONGEST, shorten


@pytest.mark.parametrize(
    ('names', 'most', 'text'),
    [
        ([], 3, ''),
        (['a', 'b', 'c'], 3, 'a, b, c'),
        (['a', 'b', 'c', 'd'], 3, 'a, b, c and 1 more'),
        (['a', 'b'], 1, 'a and 1 more'),
    ],
)
def test_the_first_names_and_how_many_more(names, most, text):
    assert shorten(names, most) == text


def test_a_long_name_is_cut():
    text = shorten(['x' * 9999, 'y'], 1)
    assert text == 'x' * LONGEST + '… and 1 more'
