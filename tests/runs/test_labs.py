"""The labs of docs/: the starting file has the fault, a repaired one passes its check, curves are as recorded."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

LABS = Path(__file__).parents[2] / "docs" / "labs"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"lab_{name}", LABS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(name: str) -> dict[str, Any]:
    curves: dict[str, Any] = json.loads((LABS / f"{name}.json").read_text())
    return curves


def test_truncation_as_death_costs_half_of_the_value_and_the_repair_restores_it() -> None:
    lab, curves = load("truncation_as_death"), recorded("truncation_as_death")

    def repaired(reward: float, terminated: bool, truncated: bool, next_value: float) -> float:
        return reward if terminated else reward + lab.GAMMA * next_value

    def never_ends(reward: float, terminated: bool, truncated: bool, next_value: float) -> float:
        return reward + lab.GAMMA * next_value

    assert lab.learn(lab.Constant(limit=10)) == pytest.approx(curves["wrong"], abs=1e-3)
    assert lab.learn(lab.Constant(limit=10), repaired) == pytest.approx(curves["right"], abs=1e-3)
    assert lab.check() == ["reward 1 for ever is worth 10.0, you learned 5.10"]
    assert lab.check(repaired) == []
    assert len(lab.check(never_ends)) == 1  # the second problem finds the other wrong answer


def test_without_a_target_network_values_explode_and_with_one_they_do_not() -> None:
    lab, curves = load("no_target_network"), recorded("no_target_network")

    def repaired(updates: int, network: Any, target: Any) -> None:
        if updates % lab.TARGET_EVERY == 0:
            target.load_state_dict(network.state_dict())

    without, right = lab.learn(), lab.learn(repaired)
    assert "above any possible return" in lab.check(without) and len(without) == len(curves["wrong"])
    assert right == pytest.approx(curves["right"], rel=0.05) and lab.check(right) == ""
    assert "never moves" in lab.check(lab.learn(lambda updates, network, target: None))


def test_the_tables_are_the_recorded_curves() -> None:
    rows = re.compile(r"^\| (\d+) \| (\S+) \| (\S+) \|$", re.MULTILINE)
    for page in LABS.glob("*.md"):
        curves = recorded(page.stem)
        found = rows.findall(page.read_text())
        assert len(found) >= 5
        for step, *cells in found:
            i = int(step) // curves["every"] - 1
            for cell, name in zip(cells, ("wrong", "right"), strict=True):
                value = curves[name][i] if i < len(curves[name]) else "-"
                if value is None or value == "-":
                    assert cell == ("NaN" if value is None else "-")
                else:
                    assert math.isclose(float(cell), value, rel_tol=0.005), (page.name, step)


@pytest.mark.parametrize("page", sorted(p.name for p in LABS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (LABS / page).read_text())
    assert links and all((LABS / link).exists() for link in links)
