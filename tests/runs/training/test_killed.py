"""Default runs of six recipes, killed by SIGKILL at 30 random moments, end as if nobody had killed them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl import checkpoint
from tests.runs.training.test_resume import assert_equal, final_state

ROOT = Path(__file__).resolve().parents[3]
RUNS = {
    "cartpole_dqn": 50_000,
    "cartpole_ppo": 100_000,
    "cartpole_a2c": 200_000,
    "arcade_breakout_dqn": 15_000,
    "lunarlander_dqn": 40_000,
    "cartpole_novelocity_r2d2": 20_000,
}
"""Recipe -> steps."""
KILLS = 5
LOST = 60.0
"""Seconds of training that a kill may cost."""


def train(words: list[str], seconds: float | None = None) -> tuple[float, bool]:
    """Runs `rl`, killed after `seconds` of training. Returns when the training began, and whether it was killed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "runs", *words, "--track", "off"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()  # the header, printed when the training begins
    begun = time.time()
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return begun, True
    assert process.returncode == 0, err
    return begun, False


@pytest.mark.full
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("recipe", RUNS)
def test_a_default_run_killed_at_random_moments_ends_as_the_whole_run(
    recipe: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "killed"
    words = ["train", recipe, "--steps", str(RUNS[recipe]), "--out"]
    begun, _ = train([*words, str(whole)])
    shares = np.random.default_rng(len(recipe)).uniform(0.02, 0.4, KILLS)
    lost, saved = [], 0.0
    for moment in [*((time.time() - begun) * shares), None]:
        if not saved:  # killed before its first save: it starts again
            shutil.rmtree(run, ignore_errors=True)
        begun, killed = train(["resume", str(run)] if saved else [*words, str(run)], moment)
        if not killed:
            break
        ended = time.time()
        if checkpoint.checkpoints(run):
            saved = (checkpoint.newest_good(run)[0] / "manifest.json").stat().st_mtime
        lost.append(ended - max(begun, saved))
    record_property("seconds lost", ", ".join(f"{seconds:.0f}" for seconds in lost))
    found, expected = final_state(run), final_state(whole)
    evaluations = {line["step"]: line for line in expected.pop("evaluations")}
    for line in found.pop("evaluations"):  # which steps are evaluated depends on the machine's speed
        assert_equal(line, evaluations.get(line["step"], line))
    assert line["step"] == RUNS[recipe]
    assert_equal(found, expected)
    assert lost and max(lost) <= LOST
