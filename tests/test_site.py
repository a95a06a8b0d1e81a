"""The documentation site: every page has its place, equations and diagrams can be drawn, and it reads offline."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs.reporting import chromium

ROOT = Path(__file__).parent.parent
pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
sys.path.insert(0, str(ROOT / "docs" / "site"))
import mathml  # noqa: E402
import site_hooks as site  # noqa: E402
import yaml  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def leaves(nav: Any) -> Iterator[str]:
    return site._entries(nav)  # type: ignore[no-any-return]


def test_every_page_of_docs_is_in_the_navigation_once() -> None:
    nav = list(leaves(site.expanded(CONFIG["nav"], site.pages())))
    missing = sorted(set(site.pages()) - set(nav))
    assert not missing, f"{missing} are in no section of mkdocs.yml"
    assert len(nav) == len(set(nav))
    lost = [p for p in nav if not p.startswith("reference/") and p != "index.md" and not (ROOT / "docs" / p).exists()]
    assert not lost, f"mkdocs.yml names {lost}, which do not exist"


def test_a_page_in_a_new_folder_is_refused_with_the_line_to_add() -> None:
    with pytest.raises(PluginError, match=re.escape("docs/novel/a.md is in no section of mkdocs.yml: add `novel/*`")):
        site.expanded(CONFIG["nav"], [*site.pages(), "novel/a.md"])


def test_a_new_page_at_the_root_or_in_a_known_folder_finds_its_section() -> None:
    nav = {title: list(leaves(x)) for one in site.expanded(CONFIG["nav"], [*site.pages(), "x.md", "labs/y.md"])
           for title, x in one.items()}  # fmt: skip
    assert "x.md" in nav["Guides"] and "labs/y.md" in nav["Labs"]


@pytest.mark.parametrize("page", [p for p in site.pages() if p.endswith(".md")])
def test_equations_diagrams_and_links_to_files_can_be_drawn(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    made = site._drawn(site._linked(text, f"docs/{page}", page), f"docs/{page}")
    assert "```math" not in made and "```mermaid" not in made
    for path, name in re.findall(r"\[`([\w/]+\.py): ([\w.]+)`\]", text):
        assert site.line_of(path, name), f"{page}: {path} defines no {name}"


def test_an_equation_becomes_mathml_in_the_order_of_its_terms() -> None:
    made = mathml.mathml(r"\max_{a'} Q_{\theta^-}(s', a') - \frac12 + 0.25")
    assert re.sub(r"<[^>]*>", "", made) == "maxa′Qθ−&#40;s′&#44;a′&#41;−12&#43;0.25"
    assert made.count("<munder>") == 1 and "<mfrac><mn>1</mn><mn>2</mn></mfrac>" in made and "<mn>0.25</mn>" in made
    with pytest.raises(ValueError, match=r"\\wrong is not known"):
        mathml.mathml(r"\wrong{x}")


def test_files_outside_of_docs_have_a_place_in_the_site() -> None:
    places = {
        "README.md": "index.md",
        "docs/tables.md": "tables.md",
        "docs/pictures/arcade.png": "pictures/arcade.png",
        "docs/single_file/dqn.py": "repository/docs/single_file/dqn.py.md",
        "rl/losses.py": "repository/rl/losses.py.md",
        "CONTRIBUTING.md": "repository/CONTRIBUTING.md",
        "docs/agents": "agents/README.md",
        "runs/results/studies/sutton_barto.html": "repository/runs/results/studies/sutton_barto.html",
    }
    assert {path: site.place(path) for path in places} == places


def test_a_notebook_shows_its_cells_and_outputs() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": [{"data": {"text/plain": ["2"]}}]},
        {"cell_type": "code", "source": ["plot()"], "outputs": [{"data": {"image/png": "AAAA", "text/plain": "x"}}]},
    ]
    made = site.notebook({"cells": cells})
    assert made.startswith("# Title\n\n```python\n1 + 1\n```\n\n```text\n2\n```")
    assert 'src="data:image/png;base64,AAAA"' in made and "```text\nx" not in made


@pytest.mark.full
@pytest.mark.skipif(not chromium.AVAILABLE, reason=chromium.REASON)
def test_the_site_builds_strictly_and_reads_offline_in_a_browser(tmp_path: Path) -> None:
    """Pages of every kind at two widths: nothing wider than the page, no console line, no request but to the disk."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    written = [p.removesuffix(".md").removesuffix(".ipynb") for p in site.pages()]
    written = [re.sub("README$", "index", p) for p in written]
    written += [
        "index",
        "reference/runs",
        "reference/rl/rl.replay",
        "repository/rl/losses.py",
        "repository/CONTRIBUTING",
    ]
    with chromium.Chromium() as browser:
        for width, dark in ((1200, False), (400, True)):
            browser.resize(width, 900)
            browser.media(dark=dark)
            for page in written:
                browser.open(tmp_path / f"{page}.html")
                assert browser.js("document.documentElement.scrollWidth") == width, f"{page} at {width}"
        browser.open(tmp_path / "architecture.html")  # still 400 wide
        texts = "[...document.querySelectorAll('.diagram text, .diagram p')].filter((text) => text.textContent.trim())"
        heights = browser.js(f"{texts}.map((text) => text.getBoundingClientRect().height)")
        assert min(heights) > 9, "the text of a diagram is legible on a phone"
        assert browser.problems == [] and {r.partition(":")[0] for r in browser.requests} <= {"file", "data"}
        search_for(browser, "munchausen")
        assert "matching" in browser.js("document.querySelector('.md-search-result__meta').textContent")


def search_for(browser: chromium.Chromium, word: str) -> None:
    browser.resize(1200, 900)
    browser.click("[data-md-component=search-query]")
    browser.js("new Promise((go) => setTimeout(go, 2000))")
    for letter in word:
        browser.send("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
        browser.send("Input.dispatchKeyEvent", type="keyUp", key=letter)
    browser.js("new Promise((go) => setTimeout(go, 2000))")
