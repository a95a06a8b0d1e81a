"""What `make docs` does beyond mkdocs: navigation by folder, files of the repository as pages, equations, diagrams.

- `agents/*` in the navigation of mkdocs.yml stands for the pages of that folder which no other entry names.
- A link that leaves docs/ leads to a page of the site with that file, at the line of the name that the link shows.
- Equations become MathML (`mathml.py`). A mermaid diagram is replaced by the drawing in docs/site/diagrams.
- The reference has a page for each module of rl, agents and envs, and one for the public names of runs.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mathml import mathml
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DIAGRAMS = DOCS / "site" / "diagrams"
KINDS = {".py": "python", ".json": "json", ".jsonl": "json", ".toml": "toml", ".args": "text", ".yml": "yaml"}
"""Files that become a page with line numbers; pages in HTML and pictures are copied as they are."""
LARGEST = 200_000
"""Bytes of a file that still becomes a page."""
LINK = re.compile(r"(?<!\\)(!?\[(?:[^\]\[]|\[[^\]]*\])*\]\()([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^([ ]*)(```+|~~~+)(.*?)\n(.*?)^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
EQUATION = re.compile(r"(?<![\\$\w])\$(?=\S)([^$\n]*[^$\s])\$(?![\w$])")


# Navigation


def pages() -> list[str]:
    """All Markdown pages and notebooks of docs/, as paths in it."""
    found = (p.relative_to(DOCS).as_posix() for kind in ("*.md", "*.ipynb") for p in DOCS.rglob(kind))
    return sorted(p for p in found if not p.startswith("site/"))


def modules() -> list[str]:
    """The pages of the reference: one for each public module."""
    found = []
    for package in ("rl", "agents", "envs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            names = path.relative_to(ROOT).with_suffix("").parts
            names = names[:-1] if names[-1] == "__init__" else names
            if not any(name.startswith("_") for name in names):
                found.append(f"reference/{package}/{'.'.join(names)}.md")
    return sorted(found)


def expanded(nav: Any, there: list[str]) -> Any:
    """The navigation with each pattern replaced by the pages that no other entry names. Raises `PluginError`."""
    named = {entry for entry in _entries(nav) if "*" not in entry}
    left = [page for page in there if page not in named]

    def opened(entry: Any) -> list[Any]:
        if isinstance(entry, dict):
            return [{title: opened(x) if isinstance(x, list) else x for title, x in entry.items()}]
        if isinstance(entry, list):
            return [page for x in entry for page in opened(x)]
        if "*" not in entry:
            return [entry]
        pattern = re.compile(fnmatch.translate(entry).replace(".*", "[^/]*"))
        found = [page for page in left if pattern.match(page)]
        left[:] = [page for page in left if page not in found]
        return found

    done = [page for entry in nav for page in opened(entry)]
    if left:
        folder = posixpath.dirname(left[0])
        raise PluginError(f"docs/{left[0]} is in no section of mkdocs.yml: add `{folder}/*` to one under `nav`")
    return done


def _entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _entries(entry)


def on_config(config: Any) -> Any:
    config["nav"] = expanded(config["nav"], [*pages(), *modules()])
    return config


# Files


def place(path: str) -> str:
    """Where the site has a file or a folder of the repository."""
    if path == "README.md":
        return "index.md"
    inside = path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return place(f"{path}/README.md") if (ROOT / path / "README.md").exists() else f"repository/{path}/index.md"
    code = KINDS.get(Path(path).suffix) and (ROOT / path).stat().st_size <= LARGEST
    if inside != path and not (code and path.endswith(".py")):
        return inside
    return f"repository/{path}.md" if code or "." not in posixpath.basename(path) else f"repository/{path}"


def links(path: str, text: str) -> Iterator[tuple[re.Match[str], str]]:
    """The links of a page to files of the repository: the match, and the file's path from the root."""
    for found in LINK.finditer(_blanked(text)):
        if "://" not in found[2] and not found[2].startswith("mailto:"):
            yield found, posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))


def _blanked(text: str) -> str:
    """The text with code fences as blanks of the same length."""
    return FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def on_files(files: Files, config: Any) -> Files:
    """Adds the home page, the reference, and every file that a page links to."""
    for page in modules():
        name = page.split("/")[2].removesuffix(".md")
        files.append(File.generated(config, page, content=f"# `{name}`\n\n::: {name}\n"))
    files.append(File.generated(config, "reference/runs.md", content=_public()))
    todo, done = ["README.md", *(f"docs/{page}" for page in pages())], set()
    while todo:
        path = todo.pop()
        uri = place(path)
        if path in done:
            continue
        done.add(path)
        if uri == "index.md" or uri.startswith("repository/"):
            files.append(_copied(config, path, uri))
        if path.endswith(".md"):
            found = (to for _, to in links(path, (ROOT / path).read_text(encoding="utf-8")))
            todo += [_file(to) for to in found if (ROOT / to).exists() and not to.startswith("..")]
    return files


def _file(path: str) -> str:
    return f"{path}/README.md" if (ROOT / path).is_dir() and (ROOT / path / "README.md").exists() else path


def _copied(config: Any, path: str, uri: str) -> File:
    if path.endswith(".md") or not uri.endswith(".md"):
        return File.generated(config, uri, abs_src_path=str(ROOT / path))
    if (ROOT / path).is_dir():
        names = "\n".join(f"- `{p.name}`" for p in sorted((ROOT / path).iterdir()) if not p.name.startswith((".", "_")))
        return File.generated(config, uri, content=f"# `{path}`\n\n{names}\n")
    text = (ROOT / path).read_text(encoding="utf-8")
    fence = "`" * 4
    content = f'# `{path}`\n\n{fence} {{.{KINDS.get(Path(path).suffix, "text")} linenums="1"}}\n{text}\n{fence}\n'
    return File.generated(config, uri, content=content)


def _public() -> str:
    """The page of what `runs` offers, read without importing it."""
    tree = ast.parse((ROOT / "runs" / "__init__.py").read_text(encoding="utf-8"))
    named = [x.value for x in tree.body if isinstance(x, ast.Assign) and getattr(x.targets[0], "id", "") == "_PUBLIC"]
    how = "    options: {heading_level: 2, show_root_heading: true, show_root_toc_entry: true}\n"
    parts = [f"::: {module}.{name}\n{how}" for name, module in ast.literal_eval(named[0]).items()]
    return "\n".join(["# `runs`: the verbs as functions\n", "`from runs import train, evaluate, load`\n", *parts])


# Text


def on_page_read_source(page: Any, config: Any) -> str | None:
    """A notebook as Markdown; None for all other pages."""
    path = page.file.abs_src_path or ""
    return notebook(json.loads(Path(path).read_text(encoding="utf-8"))) if path.endswith(".ipynb") else None


def on_page_markdown(text: str, page: Any, config: Any, files: Files) -> str:
    uri = page.file.src_uri
    if uri.startswith("reference/") or uri.endswith((".py.md", ".json.md", ".jsonl.md")):
        return text
    path = (
        "README.md" if uri == "index.md" else uri.removeprefix("repository/") if "repository/" in uri else f"docs/{uri}"
    )
    text = _linked(text, path, uri)
    return _drawn(text, path)


def _linked(text: str, path: str, uri: str) -> str:
    for found, to in reversed(list(links(path, text))):
        if not (ROOT / to).exists() or to.startswith(".."):
            continue  # mkdocs names the broken link
        there = posixpath.relpath(place(to), posixpath.dirname(uri) or ".")
        text = text[: found.start()] + f"{found[1]}{there}{found[3] or ''})" + text[found.end() :]
    return text


def _drawn(text: str, path: str) -> str:
    """Equations and diagrams in place of their sources; code stays as it is."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        indent, _, kind, body = found.groups() if found.re is FENCE else ("", "", "", "")
        made = found[0]
        if kind.strip() == "math":
            made = f'{indent}<div class="equation">{_equation(body, path, display=True)}</div>'
        elif kind.strip() == "mermaid":
            made = diagram(body, path)
        kept.append(made)
        return f"\x02{len(kept) - 1}\x03"

    text = CODE.sub(keep, FENCE.sub(keep, text))
    text = EQUATION.sub(lambda found: _equation(found[1], path), text)
    while "\x02" in text:
        text = re.sub("\x02(\\d+)\x03", lambda found: kept[int(found[1])], text)
    return text


def _equation(source: str, path: str, display: bool = False) -> str:
    try:
        return mathml(source, display)
    except ValueError as error:
        raise PluginError(f"{path}: the equation {' '.join(source.split())!r}: {error}") from error


def diagram(source: str, path: str) -> str:
    """The drawing of a mermaid diagram, found by the hash of its source. Raises `PluginError` if there is none."""
    drawing = DIAGRAMS / f"{hashlib.sha256(source.strip().encode()).hexdigest()[:12]}.svg"
    if not drawing.exists():
        raise PluginError(f"{path}: a mermaid diagram changed; draw it: `mmdc -i diagram.mmd -o {drawing.name}` "
                          f"(mermaid-cli), and put the file into docs/site/diagrams")  # fmt: skip
    return f'<div class="diagram">{drawing.read_text(encoding="utf-8").strip()}</div>'


def notebook(cells: dict[str, Any]) -> str:
    """A Jupyter notebook with its recorded outputs as Markdown."""
    parts = []
    for cell in cells["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f'<img alt="output" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">')
            elif "text/html" in data:
                parts.append(f"<div>\n{re.sub(chr(10) + '+', chr(10), ''.join(data['text/html']))}\n</div>")
            elif plain := "".join(output.get("text", data.get("text/plain", ""))).strip():
                parts.append(f"```text\n{plain}\n```")
    return "\n\n".join(parts)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Links that show `file.py: Name` lead to the line where the name is defined."""

    def lined(found: re.Match[str]) -> str:
        line = line_of(found[2], found[3])
        return f'{found[1]}#__codelineno-0-{line}"><code>{found[2]}: {found[3]}</code>' if line else found[0]

    return re.sub(r'(<a href="[^"#]*)"><code>([\w/]+\.py): ([\w.]+)</code>', lined, html)


def line_of(path: str, name: str) -> int | None:
    """The line that defines a function, class or method `A.b` of a file of the repository, or None."""
    if not (ROOT / path).is_file():
        return None
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    line = None
    for part in name.split("."):
        found = next((x for x in body if getattr(x, "name", None) == part), None)
        if found is None:
            return line
        line, body = found.lineno, getattr(found, "body", [])  # type: ignore[attr-defined]
    return line
