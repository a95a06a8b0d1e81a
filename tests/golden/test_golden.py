"""Today's code learns, evaluates, compares and reads old folders as the code that wrote digests.json did.

On a machine of the same kind (processor, instruction set, PyTorch, NumPy) every digest must be equal, bit for bit. On
another kind rounding differs, so only three numbers of a run are compared: the loss of the first logged update within
1e-4 (bfloat16: 5e-2), the number of logged losses exactly, and the norm of all final weights within 5%.
`python -m tests.golden.make --check` lists all differences at once; without `--check` it writes digests.json anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import runs
from runs.cli.command_line import main
from tests.golden.cases import CASES, FIXTURES, RESUMED
from tests.golden.make import DIGESTS, compare
from tests.golden.measure import (
    HERE,
    copy,
    machine_kind,
    read_comparison,
    recipe_fingerprints,
    resume,
    table_rows,
    train,
)

GOLDEN: dict[str, Any] = json.loads(DIGESTS.read_text())
SAME_KIND = machine_kind() == GOLDEN["machine"]
FIRST_LOSS = {"fp32": 1e-4, "bf16": 5e-2}
"""Relative tolerance on a machine of another kind, by precision."""
NORM = 0.05
"""Relative tolerance there of the norm of all weights."""


def assert_same(found: dict[str, Any], golden: dict[str, Any]) -> None:
    """`found` equals `golden`: to the bit on a machine of the same kind, else within the stated tolerances."""
    found = json.loads(json.dumps(found))
    assert found["losses"] == golden["losses"]
    if found["precision"] == golden["precision"]:
        assert math.isclose(found["first_loss"], golden["first_loss"], rel_tol=FIRST_LOSS[golden["precision"]])
    assert math.isclose(found["norm"], golden["norm"], rel_tol=NORM)
    assert found["weights"].keys() == golden["weights"].keys()
    if SAME_KIND and found["precision"] == golden["precision"]:  # "auto" measures
        for key in ("first_loss", "last_loss", "weights", "returns", "lengths"):
            assert found[key] == golden[key], key
        changed = [part for part, digest in golden["digests"].items() if found["digests"][part] != digest]
        assert not changed, f"these parts of the run folder changed: {', '.join(changed)}"


@pytest.mark.parametrize("name", CASES)
def test_a_training_writes_the_same_run_folder(name: str, tmp_path: Path) -> None:
    assert_same(train(CASES[name], tmp_path / "run"), GOLDEN["cases"][name])


def test_every_case_learns_something_of_its_own() -> None:
    """Each switch changes the weights, so no case repeats another one."""
    weights = [case["digests"]["weights"] for case in GOLDEN["cases"].values()]
    assert len(set(weights)) == len(weights)
    assert GOLDEN["cases"].keys() == CASES.keys()
    assert all(case["losses"] > 1 for case in GOLDEN["cases"].values())


@pytest.mark.parametrize("name", FIXTURES)
def test_an_old_run_folder_resumes_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    assert_same(resume(name, RESUMED[name], tmp_path), GOLDEN["resumed"][name])


@pytest.mark.parametrize("name", FIXTURES)
def test_an_old_run_folder_is_evaluated_with_the_same_returns(name: str, tmp_path: Path) -> None:
    folder, golden = copy(name, tmp_path), GOLDEN["evaluated"][name]
    said = runs.evaluate(folder, episodes=3, seed=7, device="cpu")
    assert said["seeds"] == golden["seeds"]
    if SAME_KIND:
        assert (said["returns"], said["lengths"]) == (golden["returns"], golden["lengths"])
    assert runs.load(folder, device="cpu").step == FIXTURES[name].steps


@pytest.mark.parametrize("name", FIXTURES)
def test_an_old_run_folder_becomes_a_page(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    assert main(["report", str(folder)]) == 0
    assert FIXTURES[name].env in (folder / "report.html").read_text()
    assert f"{FIXTURES[name].steps}" in (folder / "report.md").read_text()


def test_the_page_of_an_old_comparison_has_the_same_table_rows(tmp_path: Path) -> None:
    folder = copy("comparison", tmp_path)
    (folder / "report.md").unlink()
    assert main(["report", str(folder)]) == 0
    assert table_rows(folder / "report.md") == table_rows(HERE / "runs" / "comparison" / "report.md")
    assert (folder / "report.html").stat().st_size > 10_000


def test_an_old_comparison_is_complete_and_trains_nothing_again(tmp_path: Path) -> None:
    """Each result lies under its contender's fingerprint, so a changed fingerprint would train it again."""
    folder = copy("comparison", tmp_path)
    before = sorted(folder.rglob("seed-*.json"))
    found = read_comparison(compare(folder))
    assert sorted(folder.rglob("seed-*.json")) == before and not (folder / "runs").exists()
    golden = GOLDEN["comparison"]
    assert found["fingerprints"] == golden["fingerprints"]
    assert found["verdict"] == golden["verdict"]
    assert found["digest"] == golden["digest"]


@pytest.mark.full
def test_a_comparison_trained_anew_has_the_same_scores_and_verdicts(tmp_path: Path) -> None:
    found, golden = read_comparison(compare(tmp_path / "comparison")), GOLDEN["comparison"]
    assert found["fingerprints"] == golden["fingerprints"]
    if SAME_KIND:
        assert found["scores"] == golden["scores"]
        assert found["verdict"] == golden["verdict"]
        assert found["digest"] == golden["digest"]


def test_every_shipped_recipe_has_the_same_fingerprint() -> None:
    """New recipes may be added; results recorded under the old fingerprints must stay theirs."""
    found = recipe_fingerprints()
    assert {name: found.get(name) for name in GOLDEN["recipes"]} == GOLDEN["recipes"]
