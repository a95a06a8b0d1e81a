"""The table of an agent over the picture of its grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import agents
import envs
import runs
from envs.drawing import Canvas
from runs.watching.table_grid import DOWN, HERE, LEFT, RIGHT, UP, draw_table, layout, table_grid
from runs.watching.watch import open_player


def test_values_arrows_and_path_are_those_of_the_table() -> None:
    agent = agents.build(agents.config("q_learning"), envs.spec("FrozenLake-v1"), num_envs=1, seed=0)
    agent.values[0, 1] = [0.0, 0.0, 0.7, 0.0]
    agent.values[0, 5] = [0.1, 0.4, 0.2, 0.3]
    found = table_grid(agent, "FrozenLake-v1", [0, 1, 5])
    assert found is not None and list(found.path) == [0, 1, 5]
    assert (found.moves[1], found.moves[5], found.moves[0]) == (RIGHT, DOWN, None)
    assert found.values[1] == 0.7 and found.values[5] == 0.4 and np.isnan(found.values[0])
    assert found.places[5] == (0.25, 0.25, 0.25, 0.25)


def test_taxis_table_is_the_part_for_the_present_passenger() -> None:
    agent = agents.build(agents.config("q_learning"), envs.spec("Taxi-v4"), num_envs=1, seed=0)
    state = ((3 * 5 + 2) * 5 + 4) * 4 + 1  # row 3, column 2, passenger 4, destination 1
    agent.values[0, state] = [0, 0, 0, 0, 0, 9.0]
    found = table_grid(agent, "Taxi-v4", [state])
    assert found is not None and len(found.values) == 25
    assert found.values[17] == 9.0 and found.moves[17] == HERE and list(found.path) == [17]
    other = table_grid(agent, "Taxi-v4", [state + 1])  # another destination
    assert other is not None and np.isnan(other.values[17])


def test_only_known_grids_have_a_layout() -> None:
    assert layout("Blackjack-v1", 704) is None and layout("FrozenLake-v1", 15) is None
    cliff = layout("CliffWalking-v1", 48)
    assert (
        cliff is not None
        and cliff.moves == (UP, RIGHT, DOWN, LEFT)
        and cliff.places[13] == (1 / 12, 0.25, 1 / 12, 0.25)
    )


def test_the_best_cell_is_yellow_the_worst_violet_and_the_arrow_points_its_way() -> None:
    agent = agents.build(agents.config("q_learning"), envs.spec("FrozenLake-v1"), num_envs=1, seed=0)
    agent.values[0, 0] = [0.0, 1.0, 0.0, 0.0]
    agent.values[0, 15] = [0.0, 0.0, 0.1, 0.0]
    found = table_grid(agent, "FrozenLake-v1", [3])
    assert found is not None
    canvas = Canvas(400, 400)
    canvas.fill((0, 0, 0))
    draw_table(canvas, found, (0, 0, 400, 400))
    picture = canvas.array()
    best, worst = picture[10, 10].astype(int), picture[310, 310].astype(int)
    assert best[0] > best[2] and best[1] > best[2]  # yellow
    assert worst[2] > worst[1]  # violet
    assert not picture[150, 150].any()  # nothing was learned there


@pytest.mark.parametrize("env", ["CliffWalking-v1", "FrozenLake-v1"])
def test_a_viewer_shows_the_table_and_the_key_hides_it(env: str, tmp_path: Path) -> None:
    settings = {"eval_every": 0, "eval_episodes": 1, "eval_max_steps": 50}
    runs.train(env, agent="value_iteration", steps=30, settings=settings, out=tmp_path / "run")
    with open_player(tmp_path / "run", games=1) as player:
        player.step()
        player.step()
        view = player.view()
        assert view.table is not None and len(view.table.path) == 3
        player.show_table = False
        assert player.view().table is None
