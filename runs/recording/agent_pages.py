"""The generated blocks of docs/agents: the fields of an agent, and its recorded results.

    python -m runs.recording.agent_pages        rewrites the blocks of all pages

A block begins with `<!-- fields NAME [CLASS ...] -->` or `<!-- results NAME ... -->` and ends with `<!-- end -->`. With
classes, the fields that these config classes declare are shown, else those that a preset changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import agents
from rl.stats import iqm
from rl.storage import write_atomic
from runs.folder.places import RESULTS
from runs.recipe import recipe_names, resolve
from runs.recording.results import fingerprint, median_minutes, read_results
from runs.settings.apply import explain

PAGES = Path(__file__).parents[2] / "docs" / "agents"
BLOCK = re.compile(r"(<!-- (fields|results) ([^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def fields(name: str, *classes: str) -> str:
    """The table of an agent's or preset's fields."""
    config = agents.config(name)
    if classes:
        kept = {f for c in type(config).__mro__ if c.__name__ in classes for f in vars(c).get("__annotations__", {})}
        shown = {k: v for k, v in explain(config).items() if k.split(".")[0] in kept and "." not in k}
    else:
        plain = explain(type(config)())
        shown = {k: v for k, v in explain(config).items() if plain.get(k) != v}
    if not shown:
        return "None of its own.\n"
    rows = [f"| `{k}` | `{v['value']}` | {v['meaning'].replace('|', chr(92) + '|')} |\n" for k, v in shown.items()]
    return "| field | value | meaning |\n|---|---|---|\n" + "".join(rows)


def results(*names: str) -> str:
    """The recorded results of the recipes that train these agents or presets, of the recipes' present values."""
    rows = ""
    for recipe in sorted(recipe_names()):
        run: Any = resolve(recipe)
        if agents.title(run.agent) not in names:
            continue
        mark = fingerprint(run)
        found = [r for r in read_results(RESULTS, recipe) if r["fingerprint"] == mark]
        good = [r for r in found if r["status"] == "ok"]
        if good:
            scores = [r["score"]["mean"] for r in good]
            failed = f", {len(found) - len(good)} failed" if len(good) < len(found) else ""
            cells = [recipe, _score(float(iqm(scores))), f"{_score(min(scores))} to {_score(max(scores))}"]
            cells += [f"{len(found)}{failed}", f"{run.steps:,}", median_minutes(good)]
            rows += f"| {' | '.join(cells)} |\n"
    head = "| recipe | IQM | lowest to highest | seeds | steps | minutes |\n|---|---|---|---|---|---|\n"
    return head + rows if rows else "None recorded yet.\n"


def _score(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value + 0.0:.2f}"


def refreshed(text: str) -> str:
    """A page with its blocks as they must be."""
    made: dict[str, Callable[..., str]] = {"fields": fields, "results": results}
    return BLOCK.sub(lambda m: m[1] + made[m[2]](*m[3].split()) + m[4], text)


def main() -> None:
    for page in sorted(PAGES.glob("*.md")):
        write_atomic(page, refreshed(page.read_text()).encode())


if __name__ == "__main__":
    main()
