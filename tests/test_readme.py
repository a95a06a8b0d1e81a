"""README claims what result files say, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rl.statistics import iqm
from runs.recipe import resolve
from runs.record import RESULTS, fingerprint, read_results

README = (Path(__file__).parent.parent / "README.md").read_text()
ROW = re.compile(r"^\| (\w+) \| ([-\d.]+)(?: \((\d+) seeds\))? \| ([\d,]+) \| ([\d.]+) \|$", re.MULTILINE)
CLAIMS = ROW.findall(README)


def test_the_table_is_found() -> None:
    table = README.split("## What it reaches")[1].split("\n## ")[0]
    assert len(CLAIMS) == table.count("\n| ") - 1 > 5  # all rows but the header


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim[0] for claim in CLAIMS])
def test_a_claim_is_what_was_recorded(claim: tuple[str, ...]) -> None:
    recipe, score, seeds, steps, minutes = claim
    run = resolve(recipe)
    found = [r for r in read_results(RESULTS) if (r["recipe"], r["fingerprint"]) == (recipe, fingerprint(run))]
    assert {r["status"] for r in found} == {"ok"} and len(found) == int(seeds or 1)
    assert float(score) == round(float(iqm([r["score"]["mean"] for r in found])), 1)
    assert int(steps.replace(",", "")) == run.steps
    assert float(minutes) == round(float(np.median([r["seconds"] for r in found])) / 60, 1)
