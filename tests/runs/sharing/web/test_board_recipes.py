"""Every recipe of the board games: which become a page, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import agents
from rl.errors import InputError
from runs.recipe import recipe_names, resolve
from runs.sharing.web.export import export_web
from runs.training.train import train

PAGES = {
    "connect_four_alphazero": "AlphaZero plays Connect Four",
    "connect_four_ppo": "PPO plays Connect Four",
    "othello6_alphazero": "AlphaZero plays Othello 6",
    "tic_tac_toe_alphazero": "AlphaZero plays Tic Tac Toe",
}
REFUSED = ["connect_four_ntuple", "othello6_ntuple"]

TINY = {
    "alphazero": [
        "num_envs=4",
        "simulations=2",
        "fast_simulations=2",
        "eval_simulations=2",
        "learning_starts=20",
        "net.channels=8",
    ],
    "ppo": ["num_envs=4", "rollout=8", "minibatch_size=16", "epochs=1"],
    "ntuple": ["num_envs=4", "tuples=4", "simulations=2", "depth=1"],
}
"""Settings of each agent with which 200 steps take seconds. The environment's options stay the recipe's own."""


def trained(name: str, folder: Path) -> Path:
    settings = [*TINY[agents.name_of(resolve(name).agent)], "eval_episodes=1"]
    train(name, steps=200, settings=settings, out=folder / "run", track="off", quiet=True)
    return folder / "run"


def test_no_recipe_of_the_boards_is_forgotten() -> None:
    assert sorted([*PAGES, *REFUSED]) == sorted(n for n in recipe_names() if resolve(n).env.startswith("Boards/"))


@pytest.mark.parametrize("name", PAGES)
def test_a_board_recipe_becomes_a_page_with_its_own_options(name: str, tmp_path: Path) -> None:
    facts = export_web(trained(name, tmp_path), tmp_path / "page.html")
    assert facts["title"] == PAGES[name] and facts["env"] == resolve(name).env
    assert (tmp_path / "page.html").stat().st_size == facts["bytes"]
    assert (facts["generations"][0], facts["generations"][-1]) == (0, facts["step"]) and facts["step"] >= 200


@pytest.mark.parametrize("name", REFUSED)
def test_the_n_tuple_network_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    line = "the n-tuple network of ntuple has no JavaScript here: export a DQN, PPO, SAC or AlphaZero relative"
    with pytest.raises(InputError) as refused:
        export_web(trained(name, tmp_path), tmp_path / "page.html")
    assert str(refused.value) == line and not (tmp_path / "page.html").exists()
