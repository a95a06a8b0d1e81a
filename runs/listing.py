"""What there is to train: recipes, agents, environments. Reads a recipe's first line without running it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parent / "recipes"


def listing(what: str | None = None) -> dict[str, Any]:
    """For each kind (or for `what` alone: recipes, agents or envs) the names, each with a few words."""
    kinds = {"recipes": recipes, "agents": agents, "envs": environments}
    return {kind: find() for kind, find in kinds.items() if what in (None, kind)}


def recipes() -> dict[str, str]:
    """Recipe name -> the first line of its docstring."""
    files = sorted(path for path in RECIPES.glob("*.py") if not path.name.startswith("_"))
    return {path.stem: _first_line(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))) for path in files}


def agents() -> dict[str, str]:
    """Agent or preset name -> where it is defined."""
    import agents as players

    places = {**players.REGISTRY, **players.PRESETS}
    return {name: places.get(name, "from an installed package") for name in players.names()}


def environments() -> dict[str, str]:
    """Environment id -> what kind it is. Any other Gymnasium id, and `module:Id`, can be trained on as well."""
    import envs

    return {name: name.partition("/")[0] if "/" in name else "Gymnasium" for name in envs.ids()}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
