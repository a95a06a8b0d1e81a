"""The board games as Gymnasium environments for one agent; the opponent is part of the environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode

from envs.boards import plays_itself
from envs.boards.engine import load_board
from envs.boards.game import Game
from envs.boards.opponents import Opponent, Policy, make_opponent
from envs.compiled import SavedRows
from envs.shells import CompiledEnv, CompiledVectorEnv, check_options
from rl.errors import InputError

OPTIONS = ("opponent", "self_play", "opening", "eval_opening", "render_mode")
RENDER_FPS = 2
PLANES = 2
PAST = 5
"""In self-play, one game in so many is against an earlier self."""
TRIES = 100
"""Random openings of a game against an opponent that may end it before one is given up for an empty board."""


def draws(counters: np.ndarray) -> np.ndarray:
    """SplitMix64's output for uint64 counters [N]."""
    z = counters.copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


class Games(SavedRows):
    """`num` games of an agent against an opponent. Each step is a move of the agent and the opponent's reply.

    With `self_play` the agent moves for both players: a step is one move, the observation is seen by the player to
    move, and the reward is that of the player who moved. Its games begin after 0 to `opening` random moves, all equally
    likely, so that both players meet positions that neither would choose. Games against an opponent begin after exactly
    `opening` random moves, because from the first position two good players play the same game again and again.
    """

    kind = "a board"

    def __init__(
        self,
        name: str,
        num: int,
        opponent: str | Policy,
        self_play: bool = False,
        opening: int = 0,
        eval_opening: int = 0,
    ) -> None:
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 1:
            raise InputError(f"num_envs must be a whole number of at least 1, got {num!r}")
        self.core = Game(name, num)
        self.name, self.game, self.num = name, self.core.board, self.core.num
        self.shape, self.actions = self.core.shape, self.core.num_actions
        self.opponent, self.self_play = make_opponent(opponent), self_play
        self.plays_itself = plays_itself(opponent)
        if self.self_play and self.plays_itself:
            raise InputError(
                f"self_play has no opponent in training, and opponent={opponent!r} is one: name one of them"
            )
        self.opening = self._plies("opening", opening)
        self._plies("eval_opening", eval_opening)
        self.rows["ended"] = True  # until the first reset
        self._all, self._flipped = np.ones(num, bool), np.zeros(num, np.uint64)
        self._cells = np.array(self.game.cells, np.uint64)
        self._legal = np.zeros((num, self.actions), np.bool_)
        self.seed([None] * num, self._all)

    def _plies(self, name: str, plies: int) -> int:
        if isinstance(plies, bool) or not isinstance(plies, int) or not 0 <= plies < self.game.max_plies:
            most = self.game.max_plies - 1
            raise InputError(f"{name} must be a whole number of random moves from 0 to {most}, got {plies!r}")
        return plies

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "game"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, game=load_board(state["name"]))

    @property
    def rows(self) -> np.ndarray:  # type: ignore[override]
        return self.core.rows

    @rows.setter
    def rows(self, rows: np.ndarray) -> None:
        self.core.rows = rows

    def seed(self, seeds: Iterable[int | None], mask: np.ndarray) -> None:
        """As in `SavedRows`. After an even seed the agent moves first, after an odd seed second.

        In self-play, the games of one seed in five are against an earlier self.
        """
        seeds = list(seeds)
        super().seed(seeds, mask)
        for i, seed in enumerate(seeds):
            if mask[i] and seed is not None:
                self.rows["next_seat"][i] = seed % 2
                self.rows["past"][i] = seed // 2 % PAST == 0

    def begin(self, mask: np.ndarray) -> None:
        """Starts games. Without a new seed, each row alternates who moves first. The opponent moves if it is first."""
        self._open(mask, self.opening)
        self._reply(mask)
        self._open_again(mask & self.rows["ended"])

    def _open(self, mask: np.ndarray, opening: int) -> None:
        """Resets games and plays their random moves."""
        rows = self.rows
        self.core.reset(mask)
        if not opening:
            return
        rows["rng"][mask] += np.uint64(0x9E3779B97F4A7C15)
        left = np.full(self.num, opening)
        if self.self_play:
            left = draws(rows["rng"]) % np.uint64(opening + 1)
        for turn in range(opening):
            moving = mask & ~rows["ended"] & (left > turn)
            self.core.kernels.take(rows, moving, self.core.random_actions(moving), self._flipped, False)

    def _open_again(self, mask: np.ndarray) -> None:
        """Games that their random moves, or the opponent's first move, have ended draw other random moves.

        In self-play, and after `TRIES`, they begin with an empty board.
        """
        tries = 0 if self.self_play else TRIES
        while mask.any():
            self.rows["next_seat"][mask] = self.rows["seat"][mask]  # the same player moves first
            self._open(mask, self.opening if tries > 0 else 0)
            self._reply(mask)
            mask, tries = mask & self.rows["ended"], tries - 1

    def _reply(self, mask: np.ndarray) -> None:
        rows = self.rows
        if self.self_play:
            return
        waiting = mask & ~rows["ended"] & (rows["player"] != rows["seat"])
        if not waiting.any():
            return
        actions = self.opponent(self.core, waiting)
        if self.core.kernels.take(rows, waiting, actions, self._flipped, False) >= 0:
            raise InputError(f"the opponent's action is not legal in {self.name}: it must obey the mask that it gets")

    def observe(self, mask: np.ndarray, boards: np.ndarray | None = None) -> np.ndarray:
        """Bool [N, H, W, 2] with the masked rows written: the agent's stones, then the opponent's."""
        if boards is None:
            boards = np.zeros((self.num, *self.shape), np.bool_)
        flat = boards.reshape(self.num, -1, PLANES)
        self.core.kernels.show(self.rows, mask, not self.self_play, self._cells, flat, self._legal)
        return boards

    def info(self) -> dict[str, np.ndarray]:
        """The legal actions, bool [N, A] (none after the end), and who moves first: seat 0 is the agent."""
        return {"action_mask": self._legal.copy(), "seat": self.rows["seat"].copy()}

    def advance(self, actions: np.ndarray, autoreset: bool) -> tuple[int, Any, Any, Any, Any]:
        """One step with int64 [N] `actions`; a row whose game has ended starts a new one instead.

        Returns the first row that cannot act (its game has ended, without `autoreset`) or whose action does not exist,
        else -1; then new arrays: observation, reward float64 [N] (1 for a win, -1 for a loss or an illegal action),
        terminated and truncated bool [N].
        """
        rows, fresh = self.rows, self.rows["ended"].copy()
        mover = rows["player"].copy() if self.self_play else rows["seat"]
        wrong = (actions < 0) | (actions >= self.actions) | (fresh & (not autoreset))
        if wrong.any():
            return int(np.argmax(wrong)), None, None, None, None
        self.core.kernels.take(rows, ~fresh, actions, self._flipped, True)
        self._open(fresh, self.opening)
        self._reply(self._all)
        self._open_again(fresh & rows["ended"])
        terminated = rows["ended"].copy()
        won = np.where(rows["winner"] == mover, 1.0, -1.0)
        reward = np.where(terminated & (rows["winner"] >= 0), won, 0.0)
        return -1, self.observe(self._all), reward, terminated, np.zeros(self.num, np.bool_)

    def view(self, window: bool = False, fps: float = RENDER_FPS) -> Any:
        """A new `View` of this game."""
        from envs.boards.view import View

        return View(self.name, window=window, fps=fps)

    def _check_ranges(self, rows: np.ndarray) -> None:
        super()._check_ranges(rows)
        full = np.uint64(sum(1 << cell for cell in self.game.cells))
        if (rows["mine"] & rows["theirs"]).any() or ((rows["mine"] | rows["theirs"]) & ~full).any():
            raise InputError("the saved state has two stones on one cell or a stone off the board: it was altered")


class BoardEnv(CompiledEnv):
    """One board game against an opponent. Observation bool [H, W, 2]: the agent's stones, the opponent's stones.

    opponent: "random", "minimax:DEPTH" (1 to 6 plies), "self:NAME" or a function, see `envs.boards.opponents`.
    self_play: the agent moves for both players in turn, see `Games`. In evaluations and viewers `envs.make` drops it,
    and `opening`.
    opening: random moves that a game begins with; in self-play the largest number of them.
    eval_opening: `opening` in evaluations, for `envs.make`.

    The reward is 1 for a win, 0 for a draw, -1 for a loss. `info["action_mask"]` has the legal actions; an illegal
    action loses the game at once. Reset with an even seed and the agent moves first, with an odd seed the opponent.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human", "ansi"], "render_fps": RENDER_FPS}

    def __init__(
        self,
        game: str,
        opponent: str | Policy = "random",
        render_mode: str | None = None,
        self_play: bool = False,
        opening: int = 0,
        eval_opening: int = 0,
        **others: Any,
    ) -> None:
        check_options(render_mode, tuple(self.metadata["render_modes"]), others, OPTIONS)
        super().__init__(Games(game, 1, opponent, self_play, opening, eval_opening), render_mode)

    def render(self) -> Any:
        """`rgb_array`: uint8 [H, W, 3]. `ansi`: the position as text. `human`: None."""
        if self.render_mode == "ansi":
            return self.games.core.text()
        return super().render()

    def get_action_meanings(self) -> tuple[str, ...]:
        return self.games.game.action_names


class BoardVectorEnv(CompiledVectorEnv):
    """N board games in one compiled loop. Options as `BoardEnv`'s; observations bool [N, H, W, 2]."""

    metadata: dict[str, Any] = {**CompiledVectorEnv.metadata, "render_fps": RENDER_FPS}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        opponent: str | Policy = "random",
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        self_play: bool = False,
        opening: int = 0,
        eval_opening: int = 0,
        **others: Any,
    ) -> None:
        check_options(render_mode, ("rgb_array",), others, (*OPTIONS, "num_envs", "autoreset_mode"))
        super().__init__(Games(game, num_envs, opponent, self_play, opening, eval_opening), render_mode, autoreset_mode)

    def face(self, opponent: Opponent) -> None:
        """Attaches the learner of a training as the opponent. Raises `InputError` without the option "self"."""
        if not self.games.plays_itself:
            raise InputError("only an environment made with opponent='self' takes a learner as its opponent")
        self.games.opponent = opponent
