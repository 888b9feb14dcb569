"""Colours can be told apart in print and by colour-blind readers."""

from itertools import combinations

import numpy as np
import pytest

from whiten_plugins.ratios.palette import STYLES

STATS = ('in', 'ln', 'bn', 'iw', 'bw')
# Machado et al. 2009, complete loss, on linear RGB.
VISION = {
    'normal': np.eye(3),
    'protanopia': [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    'deuteranopia': [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    'tritanopia': [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(color):
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(
        value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4
    )


def lab(rgb):
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array(
        [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
    )


@pytest.mark.parametrize('ground', ['color', 'dark'])
@pytest.mark.parametrize('vision', VISION)
def test_colours_differ_in_every_kind_of_vision(vision, ground):
    seen = [
        lab(np.array(VISION[vision]) @ linear(getattr(STYLES[stat], ground)))
        for stat in STATS
    ]
    # A difference of 2.3 is just noticeable between patches side by side.
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 20


def test_lightness_falls_in_steps_in_greyscale():
    lightness = sorted(lab(linear(STYLES[stat].color))[0] for stat in STATS)
    assert np.diff(lightness).min() > 10


def test_numbers_can_be_read_on_their_bars():
    for style in STYLES.values():
        ground = TO_XYZ[1] @ linear(style.color)
        ink = {'white': 1.0, 'black': 0.0}[style.ink]
        light, dark = max(ground, ink), min(ground, ink)
        assert (light + 0.05) / (dark + 0.05) > 3  # WCAG, large text


def test_colours_can_be_seen_on_a_dark_page():
    page = TO_XYZ[1] @ linear('#191817')
    for style in STYLES.values():
        ground = TO_XYZ[1] @ linear(style.dark)
        assert (ground + 0.05) / (page + 0.05) > 3
        assert (ground + 0.05) / 0.05 > 3  # black numbers on it


def test_lines_and_points_do_not_need_colour():
    for attribute in ('dash', 'symbol'):
        found = [getattr(STYLES[stat], attribute) for stat in STATS]
        assert len(set(found)) == len(STATS)
