"""The labs of docs/: the starting file has the fault, a repaired one passes its check, curves are as recorded."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runs.folder.places import ROOT
from tests.runs.lab_answers import ANSWERS, LABS, TABLE, load, shown

SLOW = ("cnn_or_mlp", "exploding_gradients", "no_target_network", "search")
"""Labs whose two curves together take more than a second."""
STARTED = """import runpy, sys
sys.argv, sys.path = sys.argv[1:], [".", *(p for p in sys.path if p and "site-packages" in p or "lib" in p)]
sys.modules["envs"] = None  # as without the suite
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((LABS / f"{name}.json").read_text())
    return found


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_lab_has_a_page_a_file_a_curve_and_an_answer() -> None:
    for ending in ("md", "json", "py"):
        found = {path.stem for path in LABS.glob(f"*.{ending}")} - {"README", "teacher", "lab"}
        assert found == set(ANSWERS), ending
    index = (LABS / "README.md").read_text()
    assert all(f"({name}.md)" in index for name in ANSWERS) and len(ANSWERS) >= 10
    for name in ANSWERS:
        assert "# HOLE: " in (LABS / f"{name}.py").read_text()


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in ("truncation_as_death", *SLOW)])
def test_the_check_finds_the_fault_and_passes_the_answer(name: str) -> None:
    agree(name)


@pytest.mark.full
@pytest.mark.parametrize("name", SLOW)
def test_the_check_of_a_slow_lab_finds_the_fault_and_passes_the_answer(name: str) -> None:
    agree(name)


def agree(name: str) -> None:
    """Both curves are as recorded (5%, or 0.03 of the largest), and the check tells them apart."""
    lab, curves = load(name), recorded(name)
    for curve, hole in (("wrong", ()), ("right", (ANSWERS[name](lab),))):
        found = lab.learn(*hole)
        assert bool(lab.check(found)) == (curve == "wrong"), lab.check(found)
        expected = [math.nan if value is None else value for value in curves[curve]]
        assert len(found) == len(expected)
        finite = np.array([f for f in zip(found, expected, strict=True) if math.isfinite(f[1]) and abs(f[1]) < 1e4])
        if len(finite):
            room = 0.03 * np.abs(finite).max() + 0.05 * np.abs(finite[:, 1])
            assert (np.abs(finite[:, 0] - finite[:, 1]) <= room).all(), (found, expected)


def test_a_slow_lab_s_checks_read_the_recorded_curves() -> None:
    for name in SLOW:
        lab, curves = load(name), recorded(name)
        wrong = [math.nan if value is None else value for value in curves["wrong"]]
        assert lab.check(wrong) and not lab.check(curves["right"]), name


def test_truncation_as_death_costs_half_of_the_value_and_the_repair_restores_it() -> None:
    lab, curves = load("truncation_as_death"), recorded("truncation_as_death")
    repaired = ANSWERS["truncation_as_death"](lab)

    def never_ends(reward: float, terminated: bool, truncated: bool, next_value: float) -> float:
        return reward + lab.GAMMA * next_value

    assert lab.learn(lab.Constant(limit=10)) == pytest.approx(curves["wrong"], abs=1e-3)
    assert lab.learn(lab.Constant(limit=10), repaired) == pytest.approx(curves["right"], abs=1e-3)
    assert lab.check() == ["reward 1 for ever is worth 10.0, you learned 5.10"]
    assert lab.check(repaired) == []
    assert len(lab.check(never_ends)) == 1  # the second problem finds the other wrong answer


def test_maximisation_bias_refuses_values_that_are_right_only_where_every_action_is_bad() -> None:
    lab = load("maximisation_bias")
    answer = ANSWERS["maximisation_bias"](lab)
    for repaired in (answer, lambda own, other: answer(other, own)):
        assert lab.check(lab.learn(repaired), repaired) == ""
    for constant in (-9.0, -0.1):
        assert "only 5% go left" in lab.check([5.0], lambda own, other, constant=constant: np.full(len(own), constant))
    for wrong in (lambda own, other: own.min(1), lambda own, other: own.mean(1)):
        assert "where it lies" in lab.check(lab.learn(wrong), wrong)


@pytest.mark.parametrize(
    ("name", "kept", "message"),
    [
        ("dead_relu", (), "No module named 'lab'"),
        ("dead_relu", ("lab.py",), "this lab needs dead_relu.json, its recorded curves: copy the whole folder"),
        ("no_target_network", ("lab.py",), "this lab needs dqn: keep docs/single_file beside docs/labs"),
        ("state_not_reset", ("lab.py",), "this lab needs envs.partial: install the suite: pip install -e . in its"),
    ],
)
def test_a_lab_without_its_files_says_what_is_missing(
    name: str, kept: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    for file in (f"{name}.py", *kept):
        shutil.copy(LABS / file, tmp_path)
    words = [sys.executable, "-c", STARTED, f"{name}.py"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1 and message in done.stderr.splitlines()[-1]
    assert done.stderr.count("\n") == 1 or not kept


def test_a_target_that_never_moves_is_found() -> None:
    lab = load("no_target_network")
    assert "never moves" in lab.check([1.0] * 12)
    assert "above any possible return" in lab.check([4.0, 27.0, 1e9])
    assert "no number any more" in lab.check([4.0, 27.0, math.nan])


def test_the_small_autograd_agrees_with_pytorch() -> None:
    lab = load("backpropagation")
    lab.Value.add = staticmethod(ANSWERS["backpropagation"](lab))
    (x, y), ours = lab.problem(), lab.weights()
    lab.loss_of(ours, x, y).backward()
    w = [torch.tensor(value.data, requires_grad=True) for value in ours]
    h = torch.tanh(torch.tensor(x) @ w[0] + w[1])
    h = h + torch.tanh(h @ w[2] + w[3])
    (h @ w[4] + w[5] - torch.tensor(y)).square().mean().backward()
    for mine, theirs in zip(ours, w, strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    a = lab.Value(np.array([[-1.0, 2.0]]))
    (a.relu() * a).mean().backward()
    np.testing.assert_allclose(a.grad, [[0.0, 2.0]])  # d(x * x / 2)/dx where x > 0
    assert len((LABS / "backpropagation.py").read_text().splitlines()) <= 200


def test_a_lab_prints_both_curves_and_exits_with_1_for_the_fault() -> None:
    words = [sys.executable, str(LABS / "greedy_bandit.py")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["pulls", "yours", "wrong", "right"] and len(lines) == 12
    assert lines[-1] == "at the end the best arm gets 39% of the pulls; 75% are possible"


def test_the_tables_are_the_recorded_curves() -> None:
    for name in ANSWERS:
        curves = recorded(name)
        found = TABLE.findall((LABS / f"{name}.md").read_text())
        assert len(found) >= 5
        for step, *cells in found:
            i = int(step) // curves["every"] - 1
            for cell, curve in zip(cells, ("wrong", "right"), strict=True):
                assert cell == (shown(curves[curve][i]) if i < len(curves[curve]) else "-"), (name, step)


@pytest.mark.parametrize("page", sorted(p.name for p in LABS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (LABS / page).read_text())
    assert links and all((Path(LABS) / link).exists() for link in links)
