"""Recipes: one file an environment, in families. A recipe is a public name that is given a `Run`, with its claim below.

The claim is the string after the assignment. What was recorded stands in `runs/results`, not here.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Shipped:
    """A recipe that comes with the suite."""

    module: str
    """The module that defines it, such as `runs.recipes.classic.cartpole`."""
    claim: str
    """One or two sentences; the first line is a sentence of its own."""


@functools.cache
def shipped() -> dict[str, Shipped]:
    """Name -> recipe, sorted by name. The files are parsed, not imported, so that no agent is loaded."""
    found = {}
    for path in FOLDER.glob("*/[!_]*.py"):
        module = f"{__name__}.{path.parent.name}.{path.stem}"
        for node, below in pairwise(ast.parse(path.read_text(encoding="utf-8")).body):
            match node, below:
                case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(claim))):
                    if not name.startswith("_"):
                        found[name] = Shipped(module, claim.strip())
    return dict(sorted(found.items()))
