"""What the pictures of the board games show: stones, what moves between two steps, ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from envs.boards import GAMES, BoardVectorEnv, Game
from envs.boards.picture import COLOURS, draw
from envs.boards.scene import plies
from envs.drawing import Canvas


def near(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    """Pixels that are of this colour, about."""
    return int((np.abs(picture.astype(int) - np.array(colour[:3])).sum(-1) < 60).sum())


def test_a_step_shows_the_agents_move_and_then_the_reply() -> None:
    game = Game("Othello")
    game.play(19)
    before = game.rows[0].copy()
    game.play(18)
    game.play(26)
    first, second = plies("Othello", game.rows[0], before)
    assert [(s.x, s.y) for s in first.stones if s.fresh] == [(2, 2)]
    assert [(s.x, s.y, s.owner) for s in first.stones if s.flipped] == [(3, 3, 1)]
    assert [(s.x, s.y) for s in second.stones if s.fresh] == [(2, 3)]
    assert all(s.owner == 0 for s in second.stones if s.flipped)
    assert first.player == 0 and second.player == 1 and second.last == (2, 3)


def test_positions_of_another_episode_are_shown_still() -> None:
    game = Game("ConnectFour")
    game.play(3)
    game.play(3)
    old = game.rows[0].copy()
    game.reset()
    assert len(plies("ConnectFour", game.rows[0], old)) == 1
    game.play(2)
    (scene,) = plies("ConnectFour", game.rows[0], old)  # the opponent has moved first
    assert [(s.x, s.y, s.fresh) for s in scene.stones] == [(2, 5, True)]


def test_the_winning_stones_are_marked_and_named() -> None:
    game = Game("ConnectFour")
    for column in (0, 6, 1, 6, 2, 6, 3):
        game.play(column)
    (scene,) = plies("ConnectFour", game.rows[0])
    assert scene.over and scene.winner == 0 and scene.line == ((0, 5), (1, 5), (2, 5), (3, 5))


@pytest.mark.parametrize("name", GAMES)
def test_a_placed_stone_changes_the_picture_in_the_colour_of_its_player(name: str) -> None:
    game = Game(name)
    canvas = Canvas(800, 600)
    draw(canvas, plies(name, game.rows[0])[0])
    empty = canvas.array()
    game.play(int(np.flatnonzero(game.legal()[0])[0]))
    draw(canvas, plies(name, game.rows[0])[0])
    assert near(canvas.array(), COLOURS[name][0]) > near(empty, COLOURS[name][0]) + 500


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("size", [(64, 48), (320, 320), (1280, 720)])
def test_a_picture_of_any_size_is_drawn(name: str, size: tuple[int, int]) -> None:
    canvas = Canvas(*size)
    draw(canvas, plies(name, Game(name).rows[0])[0])
    picture = canvas.array()
    assert picture.shape == (size[1], size[0], 3) and picture.std() > 5


def test_a_stone_falls_between_two_steps() -> None:
    env = BoardVectorEnv("ConnectFour", 1, opponent="minimax:1", render_mode="rgb_array")
    env.reset(seed=0)
    env.step([3])
    pictures = [env.glide(part)[0] for part in (0.0, 0.3, 0.5, 0.8, 1.0)]
    assert all((a != b).any() for a, b in pairwise(pictures))
    assert (pictures[-1] == env.render()[0]).all()
