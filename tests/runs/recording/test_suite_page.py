"""`rl record SUITE` ends with one page of what was recorded."""

from pathlib import Path
from typing import Any

import pytest

from rl.errors import InputError
from runs.recipe import resolve
from runs.recording import suite_page
from runs.recording.results import fingerprint, write_result


def recorded(recipe: str, seed: int, mean: float, folder: Path) -> None:
    score = {"mean": mean, "returns": [mean, mean]}
    line: dict[str, Any] = {"recipe": recipe, "fingerprint": fingerprint(resolve(recipe)), "seed": seed, "status": "ok"}
    write_result({**line, "score": score, "steps": 100, "seconds": 1.0, "steps_per_second": 100.0}, folder)


def test_recorded_seeds_of_several_recipes_stand_side_by_side(tmp_path: Path) -> None:
    names = ["cartpole_dqn", "cartpole_ppo", "acrobot_dqn", "mountaincar_dqn", "lunarlander_continuous_ppo"]
    recorded("lunarlander_continuous_ppo", 0, 30.0, tmp_path)  # another game
    for seed in range(2):
        recorded("cartpole_dqn", seed, 400.0, tmp_path)
        recorded("cartpole_ppo", seed, 100.0 + seed, tmp_path)
        recorded("acrobot_dqn", seed, -80.0, tmp_path)
    found = suite_page.write("classic", names, results=tmp_path, out=tmp_path)
    scores = {(c["task"], c["name"]): c["iqm"] for c in found["contenders"] if c["iqm"] is not None}
    assert scores == {("CartPole-v1", "dqn"): 400.0, ("CartPole-v1", "ppo"): 100.5, ("Acrobot-v1", "dqn"): -80.0}
    page = Path(found["report"]).read_text()
    assert "Recorded results of classic" in page and "recipe cartpole_ppo" in page and "MountainCar" not in page


def test_a_suite_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe of classic has a recorded result"):
        suite_page.write("classic", ["cartpole_dqn"], results=tmp_path, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "agent", "short"),
    [("arcade_breakout_ppo_10m", "ppo", "ppo_10m"), ("cartpole_rainbow", "dqn", "rainbow"), ("mine", "dqn", "mine")],
)
def test_a_recipe_is_named_by_its_agent_and_variant(recipe: str, agent: str, short: str) -> None:
    assert suite_page._short(recipe, agent) == short
