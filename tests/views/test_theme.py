import re

import pytest

from workbench.errors import ConfigError
from workbench.views.theme import PALETTES, THEMES, bokeh_theme, css_variables, tokens


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    """WCAG 2.1, section 1.4.3."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("theme", THEMES)
def test_text_and_direction_can_be_read(theme, palette):
    colours = tokens(theme, palette)
    for ink in ("text", "muted", "up", "down", "accent", "warning"):
        for paper in ("background", "panel"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def test_both_themes_have_the_same_tokens():
    assert set(tokens("dark")) == set(tokens("light"))


def test_a_colour_blind_pair_is_neither_red_nor_green():
    assert tokens("dark", "blue")["up"] != tokens("dark")["up"]


def test_an_unknown_theme_names_the_known_ones():
    with pytest.raises(ConfigError, match="'drak' \\(did you mean 'dark'\\?\\); allowed: dark, light"):
        tokens("drak")


def test_tokens_become_css_variables():
    assert re.search(r"--wb-up:#26a69a;.*--wb-tag-text:#ffffff;", css_variables(tokens()))


def test_reports_can_wear_the_same_colours():
    assert bokeh_theme("light")._json["attrs"]["Plot"]["background_fill_color"] == tokens("light")["background"]
