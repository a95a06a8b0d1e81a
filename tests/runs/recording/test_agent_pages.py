"""docs/agents: one page an agent, whose tables are generated and whose names exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import agents
from runs.recipe import resolve
from runs.recording.agent_pages import PAGES, refreshed
from runs.recording.failure_pictures import FAILURES, PICTURES, SETTINGS

ROOT = PAGES.parents[1]
NAMES = sorted(p.name for p in PAGES.glob("*.md"))
SECTIONS = ["Problem", "Equations", "Pseudocode", "Details that decide results", "Fields", "When", "Failure modes"]
MATHS = {"max", "mean", "network"}
"""Words that pseudocode calls and that no function of ours has."""


@cache
def defined(path: Path) -> set[str]:
    """Names in a file: functions, classes, and Class.name of methods and fields."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


@cache
def functions() -> set[str]:
    """The last names of all functions of rl and agents."""
    files = [p for room in ("rl", "agents") for p in (ROOT / room).rglob("*.py")]
    return {n.name for p in files for n in ast.walk(ast.parse(p.read_text())) if isinstance(n, ast.FunctionDef)}


def test_every_agent_and_preset_is_named_on_a_page() -> None:
    text = "".join((PAGES / name).read_text() for name in NAMES)
    known = [*agents.REGISTRY, *agents.PRESETS]
    assert [n for n in known if f"`--agent {n}`" not in text and f"`{n}`" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_are_what_the_code_and_the_result_files_say(name: str) -> None:
    text = (PAGES / name).read_text()
    assert text == refreshed(text), "run python -m runs.recording.agent_pages"


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_of_results_are_of_agents_and_presets(name: str) -> None:
    marks = re.findall(r"<!-- results (.+) -->", (PAGES / name).read_text())
    assert set(" ".join(marks).split()) <= {*agents.REGISTRY, *agents.PRESETS}


@pytest.mark.parametrize("name", [n for n in NAMES if n != "README.md"])
def test_a_page_has_all_sections(name: str) -> None:
    heads = re.findall(r"^## (.+)$", (PAGES / name).read_text(), re.MULTILINE)
    assert [head for head in heads if head in SECTIONS] == SECTIONS
    assert heads[-1] in ("Paper", "Papers")
    when = re.search(r"^## When\n(.*?)^## ", (PAGES / name).read_text(), re.MULTILINE | re.DOTALL)
    assert when and "Choose " in when[1] and "Do not choose " in " ".join(when[1].split())


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_a_small_picture_and_the_command_that_made_it(name: str) -> None:
    text, picture = (PAGES / f"{name}.md").read_text(), PICTURES / f"explain-{name}.png"
    assert f"(../pictures/{picture.name})" in text and picture.stat().st_size < 60_000
    assert f"`python -m runs.recording.failure_pictures {name}`" in text
    failure = FAILURES[name]
    run = resolve(failure.recipe, steps=failure.steps, settings=[*SETTINGS, *failure.settings, *failure.wrong])
    assert (run.steps, run.snapshots) == (failure.steps, 8), "its settings are still known"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_names_that_exist(name: str) -> None:
    text = (PAGES / name).read_text()
    for shown, link in re.findall(r"\[([^\]]+)\]\(([^)#\s]+)[^)]*\)", text):
        target = (PAGES / link).resolve()
        assert target.exists(), link
        path, _, inside = shown.strip("`").partition(": ")
        if path.endswith(".py") and inside:
            assert target == ROOT / path and inside in defined(target), shown


@pytest.mark.parametrize("name", [n for n in NAMES if n != "README.md"])
def test_pseudocode_calls_functions_that_exist(name: str) -> None:
    blocks = re.findall(r"```text\n(.*?)```", (PAGES / name).read_text(), re.DOTALL)
    called = set(re.findall(r"(\w+)\(", "".join(blocks)))
    assert called - functions() - MATHS == set()
