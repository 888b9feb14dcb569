"""Fill the pages for a browser, each readable without a network.

A page is a package with ``template.html``, ``style.css``, ``page.js`` and,
where it has colours of its own, ``dark.css``. What the pages share stands
here: the frame that the templates extend, type and colours, light and dark,
and the script that shows what is below the pointer.
"""

from __future__ import annotations

import json
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
)
from markupsafe import Markup


def fill_page(package: str, **values: Any) -> str:
    """Fill the template of a package.

    Args:
        package: name of the package. Its template extends
            ``shared/page.html``.
        values: what the template shows. Texts are escaped; ``data`` is for
            the script.

    Returns:
        str: HTML that needs no other file.
    """
    own, shared = PackageLoader(package, ''), PackageLoader(__name__, '')
    environment = Environment(
        loader=ChoiceLoader([PrefixLoader({'shared': shared}), own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def both(name: str) -> Markup:
        found = []
        for loader in (shared, own):
            try:
                found.append(loader.get_source(environment, name)[0])
            except TemplateNotFound:
                continue
        return Markup(''.join(found))

    return environment.get_template('template.html').render(
        style=both('style.css'),
        dark=both('dark.css'),
        script=both('page.js'),
        **values | {'data': _embed(values['data'])},
    )


def _embed(data: Any) -> Markup:
    """Write data as JSON that no text in it can break out of."""
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':'))
    return Markup(text.replace('<', '\\u003c'))
