"""The PettingZoo form of the board games. Skipped without PettingZoo, which is an extra."""

from __future__ import annotations

import numpy as np
import pytest

from envs.boards import GAMES

pytest.importorskip("pettingzoo")

EVERY = pytest.mark.parametrize("name", GAMES)


@EVERY
def test_pettingzoos_own_test_passes(name: str) -> None:
    from pettingzoo.test import api_test

    from envs.boards.aec import BoardAEC

    api_test(BoardAEC(name), num_cycles=200, verbose_progress=False)


def test_winner_and_loser_get_their_rewards_and_observe_their_own_stones() -> None:
    from envs.boards.aec import BoardAEC

    env = BoardAEC("ConnectFour", render_mode="rgb_array")
    env.reset()
    for column in (0, 6, 0, 6, 0, 6):
        env.step(column)
    assert env.agent_selection == "player_0"
    first, second = env.observe("player_0"), env.observe("player_1")
    assert first["observation"][..., 0].sum(0).tolist() == [3, 0, 0, 0, 0, 0, 0]
    assert second["observation"][..., 0].sum(0).tolist() == [0, 0, 0, 0, 0, 0, 3]
    assert first["action_mask"].all() and not second["action_mask"].any()
    env.step(0)
    assert env.rewards == {"player_0": 1.0, "player_1": -1.0} and all(env.terminations.values())
    assert env.render().shape == (600, 800, 3)


def test_an_illegal_action_loses() -> None:
    from envs.boards.aec import BoardAEC

    env = BoardAEC("TicTacToe")
    env.reset()
    env.step(4)
    env.step(4)
    assert env.rewards == {"player_0": 1.0, "player_1": -1.0} and all(env.terminations.values())
    assert np.array_equal(env.observe("player_0")["observation"][..., 0].sum(), 1)
