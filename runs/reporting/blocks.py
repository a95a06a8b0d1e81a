"""The blocks of a report page, each as HTML and as Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from runs.reporting.charts import COLOURS, dashes, embed

VIDEO_LIMIT = 30_000_000
"""Bytes of videos that are put into the page; beyond, the page links to the files."""


@dataclass(frozen=True)
class Cell:
    """One table cell; `colour` puts the contender's dot before it."""

    text: str
    css: str = ""
    colour: int | None = None


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2

    def html(self) -> str:
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"

    def markdown(self) -> str:
        return f"{'#' * self.level} {self.text}"


@dataclass(frozen=True)
class Text:
    text: str
    quiet: bool = False

    def html(self) -> str:
        return f"<p{_class('quiet' if self.quiet else '')}>{_codes(escape(self.text))}</p>"

    def markdown(self) -> str:
        return self.text


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


def _codes(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


@dataclass(frozen=True)
class Items:
    """A list; `css` "warnings" makes it the box of warnings."""

    items: Sequence[str]
    css: str = ""

    def html(self) -> str:
        rows = "".join(f"<li>{_codes(escape(item))}</li>" for item in self.items)
        return f"<ul{_class(self.css)}>{rows}</ul>"

    def markdown(self) -> str:
        return "\n".join(f"{'> ' if self.css else ''}- {item}" for item in self.items)


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""
    text_columns: frozenset[int] = frozenset({0})
    """Columns of words; the others are numbers and stand right."""

    def html(self) -> str:
        def css(k: int, cell: Cell | None = None) -> str:
            names = [] if k in self.text_columns else ["n"]
            names += ["differs"] if cell and cell.css == "differs" else []
            return _class(" ".join(names))

        def content(cell: Cell) -> str:
            dot = f'<span class="swatch s{cell.colour % COLOURS}"></span>' if cell.colour is not None else ""
            text = _codes(escape(cell.text))
            return dot + (
                f'<span class="word {cell.css}">{text}</span>' if cell.css and cell.css != "differs" else text
            )

        head = "".join(f"<th{css(k)}>{escape(c)}</th>" for k, c in enumerate(self.columns))
        body = "".join(
            "<tr>" + "".join(f"<td{css(k, _cell(c))}>{content(_cell(c))}</td>" for k, c in enumerate(row)) + "</tr>"
            for row in self.rows
        )
        caption = f'<p class="caption">{escape(self.caption)}</p>' if self.caption else ""
        head = f"<thead><tr>{head}</tr></thead>"
        return f'{caption}<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'

    def markdown(self) -> str:
        line = "|".join(":--" if k in self.text_columns else "--:" for k in range(len(self.columns)))
        rows = ["| " + " | ".join(_md(_cell(c).text) for c in row) + " |" for row in self.rows]
        caption = [f"{self.caption}", ""] if self.caption else []
        return "\n".join([*caption, "| " + " | ".join(map(_md, self.columns)) + " |", f"|{line}|", *rows])


@dataclass(frozen=True)
class Chart:
    """A drawing, and the table that stands for it in Markdown."""

    caption: str
    svg: str
    table: Table | None = None

    def html(self) -> str:
        return f'<div><p class="caption">{escape(self.caption)}</p>{self.svg}</div>'

    def markdown(self) -> str:
        return f"{self.caption}\n\n{self.table.markdown()}" if self.table else ""


@dataclass(frozen=True)
class Charts:
    charts: Sequence[Chart]

    def html(self) -> str:
        return f'<div class="charts">{"".join(chart.html() for chart in self.charts)}</div>'

    def markdown(self) -> str:
        return "\n\n".join(text for chart in self.charts if (text := chart.markdown()))


@dataclass(frozen=True)
class Legend:
    """Who has which colour, and which contenders are shown. In Markdown the tables name them."""

    names: Sequence[str]
    runs: bool = True

    def html(self) -> str:
        rows = []
        for k, name in enumerate(self.names):
            line = f'<svg viewBox="0 0 30 10"><path class="middle" d="M0,5H30"{dashes(k)}/></svg>'
            rows.append(
                f'<label class="series s{k % COLOURS}"><input type="checkbox" checked data-contender="{escape(name)}">'
                f"{line}{escape(name)}</label>"
            )
        if self.runs:
            rows.append('<label class="screen"><input type="checkbox" data-runs>every seed</label>')
        return f'<div class="legend">{"".join(rows)}</div>'

    def markdown(self) -> str:
        return ""


@dataclass(frozen=True)
class Code:
    text: str
    id: str = ""

    def html(self) -> str:
        copy = '<p class="buttons"><button id="copy" type="button">Copy</button></p>' if self.id else ""
        name = f' id="{self.id}"' if self.id else ""
        return f"<pre><code{name}>{escape(self.text)}</code></pre>{copy}"

    def markdown(self) -> str:
        return f"```\n{self.text}\n```"


@dataclass(frozen=True)
class Videos:
    """(caption, path) pairs, shown side by side; put into the page where they are small enough together."""

    films: Sequence[tuple[str, Path]]
    base: Path

    def html(self) -> str:
        inside = sum(path.stat().st_size for _, path in self.films) <= VIDEO_LIMIT
        return f'<div class="videos">{"".join(self._film(name, path, inside) for name, path in self.films)}</div>'

    def _film(self, name: str, path: Path, inside: bool) -> str:
        source = escape(path.relative_to(self.base).as_posix())
        if inside:
            kind = {".mp4": "video/mp4", ".gif": "image/gif"}.get(path.suffix, "video/webm")
            source = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        shown = f"<figure><figcaption>{escape(name)}</figcaption>"
        if path.suffix == ".gif":
            return f'{shown}<img src="{source}" alt="{escape(name)}"></figure>'
        return f'{shown}<video src="{source}" controls muted loop playsinline preload="metadata"></video></figure>'

    def markdown(self) -> str:
        return "\n".join(f"- [{name}]({path.relative_to(self.base).as_posix()})" for name, path in self.films)


@dataclass(frozen=True)
class Details:
    summary: str
    blocks: Sequence[Any]

    def html(self) -> str:
        return f"<details><summary>{escape(self.summary)}</summary>{''.join(b.html() for b in self.blocks)}</details>"

    def markdown(self) -> str:
        return "\n\n".join(text for b in self.blocks if (text := b.markdown()))


@dataclass
class Page:
    title: str
    verdict: str
    data: Any
    """The raw data, embedded in the HTML."""
    blocks: list[Any] = field(default_factory=list)

    def html(self) -> str:
        assets = resources.files("runs.reporting") / "page"
        css, js = ((assets / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
        body = "".join(block.html() for block in self.blocks)
        csv = '<button id="save-csv" type="button">Data as CSV</button>' if "results" in self.data else ""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,">'
            f"<title>{escape(self.title)}</title><style>{css}</style></head>\n<body><main>"
            f"<header><nav><h1>{escape(self.title)}</h1>"
            '<div class="buttons"><button id="save-json" type="button">Data as JSON</button>'
            f'{csv}<button id="theme" type="button">Light or dark</button></div></nav>'
            f'<p class="verdict">{escape(self.verdict)}</p></header>\n{body}</main>'
            f'<script type="application/json" id="data">{embed(self.data)}</script>'
            f"<script>{js}</script></body></html>\n"
        )

    def markdown(self) -> str:
        texts = [f"# {self.title}", f"**{self.verdict}**", *(block.markdown() for block in self.blocks)]
        return "\n\n".join(text for text in texts if text) + "\n"
