"""Strength against perfect play."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rl.errors import InputError
from runs.bench.strength import measure, table
from runs.folder.places import RESULTS
from runs.training.train import train

SMALL = ["learning_starts=32", "eval_episodes=1", "net.channels=4", "net.blocks=0"]


def test_a_long_search_of_tic_tac_toe_plays_perfectly_whatever_its_network_knows(tmp_path: Path) -> None:
    train("tic_tac_toe_alphazero", steps=64, num_envs=8, settings=SMALL, out=tmp_path)
    found = measure(tmp_path, simulations=(0, 400))
    alone, search = (found["sets"]["all"][many] for many in ("0", "400"))
    assert search["positions"] == 4520 and search["wrong"] < 0.01 < alone["wrong"]
    assert table(found).startswith("all ")


def test_another_game_is_refused_in_one_line(tmp_path: Path) -> None:
    train(
        "cartpole_dqn", steps=60, settings=["learning_starts=20", "eval_episodes=1", "eval_max_steps=9"], out=tmp_path
    )
    with pytest.raises(InputError, match="for agents that plan, not CartPole-v1"):
        measure(tmp_path)


def test_the_page_has_the_recorded_strength_on_connect_four() -> None:
    page = (Path(__file__).parents[3] / "docs" / "boards.md").read_text(encoding="utf-8")
    names = [*(f"ntuple_seed{seed}" for seed in range(3)), "alphazero"]
    files = [RESULTS / "strength" / f"connect_four_{name}.json" for name in names]
    *seeds, other = (json.loads(file.read_text())["sets"] for file in files)

    def percent(values: list[float]) -> str:
        return ", ".join(f"{100 * value:.1f}" for value in values) + " %"

    for name, beside in other.items():
        shares = (("0", "wrong"), ("100", "wrong"), ("100", "optimal"))
        cells = [percent([run[name][many][share] for run in seeds]) for many, share in shares]
        cells.append(f"{percent([beside['100']['wrong']])}, {percent([beside['100']['optimal']])}")
        assert " | ".join(cells) in page, name
