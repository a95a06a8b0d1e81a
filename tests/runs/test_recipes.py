"""Every recipe that comes with the suite."""

from __future__ import annotations

import ast

import pytest

from runs.recipe import RECIPES, recipe_names, resolve
from runs.record import RESULTS, fingerprint
from runs.settings import from_json, to_json

AIM = "No result is recorded yet: what stands here is the aim, not a claim."


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_resolves_and_survives_its_run_json(name: str) -> None:
    run = resolve(name)
    assert from_json(type(run), to_json(run)) == run
    assert len(fingerprint(run)) == 12


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_without_a_recorded_result_says_that_it_claims_nothing(name: str) -> None:
    said = ast.get_docstring(ast.parse((RECIPES / f"{name}.py").read_text())) or ""
    recorded = any((RESULTS / name).glob("*/seed-*.json"))
    assert (AIM in said) is not recorded
