"""Renders a report page as HTML and as Markdown.

`page/comparison.jinja` and `page/run.jinja` hold the order, headings and prose of the two kinds of page, once for both
formats. They call the macros of `page/blocks.html` or `page/blocks.md`, which know how a block is written in a format.

The HTML is not made from the Markdown by markdown-it-py: of the nine kinds of block, six are more in HTML than Markdown
can express (coloured cells, charts, films, switches, folded sections, a button to copy).
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rl.errors import InputError
from rl.storage import write_atomic
from runs.reporting.wording import number

VIDEO_LIMIT = 30_000_000
"""Bytes of videos that are put into the page; beyond, the page links to the files."""


@dataclass(frozen=True)
class Cell:
    """A table cell with a style (`css`) or the dot of the contender that has this `colour`."""

    text: str
    css: str = ""
    colour: int | None = None


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Row]
    caption: str = ""
    words: int = 1
    """How many columns, from the left, hold words. The others hold numbers and are aligned to the right."""

    def cells(self) -> list[list[Cell]]:
        return [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in self.rows]


@dataclass(frozen=True)
class Chart:
    """A drawing for the HTML, and the table that replaces it in Markdown."""

    caption: str
    svg: str
    table: Table


def films(named: Sequence[tuple[str, Path]], folder: Path) -> list[dict[str, str]]:
    """Films from (caption, path) pairs: `name`, relative `file` and `source`.

    The source is the file itself as a data URI if all together are below `VIDEO_LIMIT`, else the relative path.
    """
    inside = sum(path.stat().st_size for _, path in named) <= VIDEO_LIMIT
    kinds = {".mp4": "video/mp4", ".gif": "image/gif"}
    shown = []
    for name, path in named:
        file = source = path.relative_to(folder).as_posix()
        if inside:
            data = base64.b64encode(path.read_bytes()).decode()
            source = f"data:{kinds.get(path.suffix, 'video/webm')};base64,{data}"
        shown.append({"name": name, "file": file, "source": source})
    return shown


@dataclass(frozen=True)
class Page:
    """One page: `template` renders `values`, and the HTML embeds the raw data, `data`."""

    title: str
    verdict: str
    data: Mapping[str, Any]
    template: str
    values: Mapping[str, Any]

    def render(self, kind: Literal["html", "md"]) -> str:
        text = environment(kind).get_template(f"page.{kind}").render(page=self, **self.values)
        return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"

    def write(self, path: Path) -> None:
        """Writes the HTML. Raises `InputError` if `path`, which --out names, cannot be written."""
        try:
            write_atomic(path, self.render("html").encode())
        except OSError as error:
            raise InputError(f"--out {path} cannot be written: {error.strerror}; name another file") from error


@functools.cache
def environment(kind: Literal["html", "md"]) -> Environment:
    """The templates of `page/`. HTML is escaped; in Markdown only table cells need it, which their macro does."""
    found = Environment(
        loader=PackageLoader("runs.reporting", "page"),
        autoescape=kind == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals |= {"blocks": f"blocks.{kind}", "asset": _asset, "embed": embed}
    found.filters |= {"words": _html_words if kind == "html" else _one_line, "number": number}
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _html_words(text: str) -> Markup:
    """Escaped text with `code` as an element."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", _one_line(escape(text))))


def _asset(name: str) -> Markup:
    return Markup((resources.files("runs.reporting") / "page" / name).read_text(encoding="utf-8"))


def embed(value: Any) -> Markup:
    """JSON that may stand inside a <script> element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
