"""The players of a board game, each with one function: positions in, actions out.

`make_player` knows random, minimax, MCTS, the perfect solver and trained agents by name. `rl league`, `rl play` and the
evaluation of self-play use the same players.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from envs.boards import GAMES
from envs.boards.game import Game
from envs.boards.opponents import DEPTHS
from envs.boards.solver import opening_scores
from rl.checkpoint import CheckpointError, checkpoints, verify
from rl.errors import InputError, unknown
from runs.folder.run_folder import GENERATIONS, resolve

if TYPE_CHECKING:
    from agents.base import Agent
    from runs.folder.trust import Trust

Thoughts = dict[str, np.ndarray]
"""What a player saw, by label: one number an action, float [A], NaN where it has none."""

BUDGETS = (25, 50, 100, 200, 400, 800, 1600)
"""Simulations of the levels of MCTS."""
CELLS = 20_000_000
"""Positions times simulations times actions of one search: about 400 MB of trees."""
SOLVED_FROM = 8
"""Stones from which Connect Four's solver answers in seconds."""


class Player(Protocol):
    """Chooses actions for a batch of positions."""

    name: str

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        """The actions, int64 [N], for N positions in play. Draws all random numbers from `rng`."""

    def thoughts(self, states: Game) -> Thoughts:
        """What the player sees in the first position; empty if it sees nothing."""


class Random:
    """Plays every legal action with the same probability."""

    name = "random"

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        legal = states.legal()
        return np.where(legal, rng.random(legal.shape), -1.0).argmax(1)

    def thoughts(self, states: Game) -> Thoughts:
        return {}


class Minimax:
    """Alpha-beta search of `depth` plies; equally good actions are drawn."""

    def __init__(self, depth: int) -> None:
        if depth not in DEPTHS:
            raise InputError(f"minimax searches 1 to {DEPTHS[-1]} plies: minimax:4; got minimax:{depth}")
        self.name, self.depth = f"minimax:{depth}", depth

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        states.rows["rng"] = rng.integers(1 << 63, size=states.num)
        return states.minimax(self.depth)[0]

    def thoughts(self, states: Game) -> Thoughts:
        """The values of the best actions are exact, the others are upper bounds."""
        legal = states.legal()[0]
        return {"value": np.where(legal, states.minimax(self.depth)[1][0], np.nan)}


class Perfect:
    """Plays the best score of every position: Connect Four by its solver, tic-tac-toe by a search to the end.

    In Connect Four with fewer than 8 stones it plays by the opening book, and outside of it as minimax of depth 6,
    because the solver takes minutes there.
    """

    name = "solver"

    def __init__(self, game: str) -> None:
        if game not in ("ConnectFour", "TicTacToe"):
            raise InputError(f"no solver knows {game}: ConnectFour and TicTacToe have one")
        self._solver: Any = None
        if game == "ConnectFour":
            from envs.boards.solver import Solver

            self._solver = Solver(1 << 24)

    def scores(self, states: Game) -> np.ndarray:
        """The score of every action, int64 [N, A], -100 or less for illegal ones."""
        if self._solver is None:
            return states.minimax(states.board.max_plies)[1]
        early = states.rows["ply"] < SOLVED_FROM
        found = states.minimax(DEPTHS[-1], early)[1]
        for i in np.flatnonzero(early):
            opening = opening_scores(states.rows[i : i + 1])
            found[i] = found[i] if opening is None else opening
        stones = states.rows[~early]
        found[~early] = self._solver.scores(stones["mine"], stones["theirs"])
        return found

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        scores = self.scores(states)
        best = scores == scores.max(axis=1, keepdims=True)
        return np.where(best, rng.random(scores.shape), -1.0).argmax(1)

    def thoughts(self, states: Game) -> Thoughts:
        early = self._solver is not None and states.rows["ply"][0] < SOLVED_FROM
        if early and opening_scores(states.rows[:1]) is None:
            return {}
        return {"score": np.where(states.legal()[0], self.scores(states)[0], np.nan)}


class Trained:
    """A trained agent, greedy, with the mask of legal actions."""

    def __init__(self, agent: Agent, name: str) -> None:
        if agent.stack > 1 or agent.state_size:
            raise InputError(
                f"{name} needs earlier observations (a frame stack or memory): a league has positions only"
            )
        self.agent, self.name = agent, name

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        observations, legal = states.observe()
        actions, _ = self.agent.predict(observations, deterministic=True, action_masks=legal)
        return np.asarray(actions, np.int64)

    def thoughts(self, states: Game) -> Thoughts:
        from agents.predict import first_row
        from runs.watching.thoughts import read_thoughts

        observations, legal = states.observe()
        row = first_row(self.agent.spec, {"obs": observations[:1]}, np.ones(1, bool))._replace(mask=legal[:1])
        actor = self.agent.actor(1, 0)
        action = actor.act(row)
        seen = read_thoughts(self.agent, actor.output, action, row.mask)[0]
        found = {"Q": seen.q_values, "probability": seen.probabilities}
        return {name: np.where(legal[0], x, np.nan) for name, x in found.items() if x is not None}


class Planner:
    """An agent that searches before each move: MCTS with random games, or a trained network under a search."""

    def __init__(self, agent: Any, name: str, simulations: int) -> None:
        self.agent, self.name, self.simulations = agent, name, simulations
        self._seen: tuple[np.ndarray, Any] | None = None

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        observations = states.observation()
        size = max(1, CELLS // (self.simulations * states.num_actions))
        seen: list[Any] = []
        for begin in range(0, states.num, size):
            part = {"obs": observations[begin : begin + size]}
            seen += self.agent.look(part, self.simulations, seed=int(rng.integers(1 << 31)))
        self._seen = observations[0], seen[0]
        return np.array([one.action for one in seen], np.int64)

    def thoughts(self, states: Game) -> Thoughts:
        """What the search of the latest move saw if it began with this position, else what a new one sees."""
        observation, legal = states.observation()[0], states.legal()[0]
        if self._seen is None or not np.array_equal(self._seen[0], observation):
            self._seen = observation, self.agent.look({"obs": observation[None]}, self.simulations)[0]
        seen = self._seen[1]
        found = {"visits": seen.visits, "value": seen.q, "prior": seen.prior, "proved": seen.proved}
        return {name: np.where(legal, x, np.nan) for name, x in found.items()}

    @property
    def line(self) -> list[int]:
        """The principal line of the search that `thoughts` showed last."""
        return [] if self._seen is None else list(self._seen[1].line)


def _mcts(game: str, simulations: int) -> Planner:
    """MCTS with this many random games before each move."""
    import agents
    import envs

    config = dataclasses.replace(agents.config("mcts"), simulations=simulations)
    agent = agents.build(config, envs.spec(env_of(game)), num_envs=1, seed=0, device="cpu")
    return Planner(agent, f"mcts:{simulations}", simulations)


def make_player(spec: str, game: str, *, device: str = "cpu", trust: Trust = False) -> Player:
    """The player that `spec` names: random, minimax:DEPTH, mcts:SIMULATIONS, solver, a run or a checkpoint.

    Raises `InputError` for another name, and for a run of another game.
    """
    kind, _, number = spec.partition(":")
    if kind == "minimax":
        if not re.fullmatch(r"\d{1,3}", number):
            raise InputError(f"minimax needs a depth of 1 to {DEPTHS[-1]}: minimax:4; got {spec!r}")
        return Minimax(int(number))
    if kind == "mcts":
        if not re.fullmatch(r"[1-9]\d{0,5}", number):
            raise InputError(f"mcts needs a number of simulations: mcts:200; got {spec!r}")
        return _mcts(game, int(number))
    if spec == "random":
        return Random()
    if spec == "solver":
        return Perfect(game)
    if not Path(spec).exists() and not re.search(r"[/\\]", spec):
        raise unknown("player", spec, ("random", "minimax:4", "mcts:200", "solver", "a run folder"))
    return load_player(spec, game, device=device, trust=trust)


def load_player(path: str | Path, game: str, *, device: str = "cpu", trust: Trust = False) -> Trained | Planner:
    """The agent of a run folder or checkpoint as a player of `game`. Raises `InputError` if it plays another game."""
    from runs.training.evaluation import load_run

    agent, run = load_run(path, device=device, trust=trust)
    if run.env != env_of(game):
        raise InputError(f"{path} is a run of {run.env}, not of {env_of(game)}: leave it out")
    found = resolve(path)
    folder = found.checkpoint.parent.parent
    owner = folder.parent if folder.name == GENERATIONS else folder
    name = f"{owner.name}@{agent.step}"
    if hasattr(agent, "look"):
        return Planner(agent, name, max(1, getattr(agent.config, "eval_simulations", agent.config.simulations)))
    return Trained(agent, name)


def generations(run: str | Path) -> list[Path]:
    """The good checkpoints that a run has kept, oldest first; of a checkpoint itself alone."""
    found = resolve(run)
    if found.run is None or found.checkpoint.resolve() == Path(run).resolve():
        return [found.checkpoint]
    steps = checkpoints(found.run / GENERATIONS) | checkpoints(found.run)
    good = []
    for _, path in sorted(steps.items()):
        try:
            verify(path, "skip")
        except CheckpointError:
            continue
        good.append(path)
    return good


def strengths(spec: str) -> tuple[list[str], int]:
    """The names of a player's levels, the weakest first, and the place of `spec` among them.

    The levels are depths of minimax, budgets of MCTS and checkpoints of a run; another player has one.
    """
    if re.fullmatch(r"minimax:\d", spec) and int(spec[-1]) in DEPTHS:
        return [f"minimax:{depth}" for depth in DEPTHS], int(spec[-1]) - 1
    if re.fullmatch(r"mcts:[1-9]\d{0,5}", spec):
        budgets = sorted({*BUDGETS, int(spec[5:])})
        return [f"mcts:{budget}" for budget in budgets], budgets.index(int(spec[5:]))
    if not Path(spec).exists():
        return [spec], 0
    found = resolve(spec)
    levels = [str(path) for path in generations(spec if found.run is None else found.run)]
    wanted = str(found.checkpoint)
    return (levels, levels.index(wanted)) if wanted in levels else ([spec], 0)


def game_of(env: str) -> str:
    """The board game of an environment's id, "ConnectFour" of "Boards/ConnectFour-v1" or itself.

    Raises `InputError` for an environment that is no board game.
    """
    name = env.removeprefix("Boards/").removesuffix("-v1")
    if name not in GAMES:
        raise InputError(f"{env} is no board game: {', '.join(map(env_of, GAMES))} are")
    return name


def env_of(game: str) -> str:
    return f"Boards/{game}-v1"
