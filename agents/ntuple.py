"""Temporal differences on an n-tuple network (Thill, Koch and Konen 2012): learns a board game by playing itself.

Every position that is met moves its value towards a mix of what its best move is worth (`RootStrap(minimax)` of Veness
et al. 2009) and of what followed in the game, as far as best moves were played: random moves explore without harm. When
it counts, it plays by AlphaZero's search, whose leaves are valued after a few plies of full-width search.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from agents.base import Actor, Choice, Metrics
from agents.planning import PlanningAgent
from rl.axes import Axis, number, rate
from rl.errors import InputError
from rl.fields import at_least, check_fields, fraction, not_negative, positive, within
from rl.interface import EnvSpec, TimeStep
from rl.memory import available_memory
from rl.networks.tuples import TupleNetwork, random_tuples
from rl.schedules import Ramp, value_at
from rl.search.search import Evaluate, SearchConfig
from rl.seeding import generator
from rl.tuples import STATES


@dataclass(frozen=True)
class NTupleConfig:
    """Fields of the n-tuple learner."""

    SWITCHES: ClassVar[dict[str, str]] = {}
    SPACE: ClassVar[dict[str, Axis]] = {"lr": rate(0.01, 1.0), "epsilon": number(0.0, 0.3)}
    """What `rl tune` searches."""

    tuples: int = at_least(1, 70)
    """Random tuples of cells, each with a table for an even and one for an odd number of stones."""
    length: int = within(8, lambda x: 1 <= x <= 12, "be 1 to 12")
    """Cells of a tuple: its tables have 3 ** length weights each."""
    gamma: float = fraction(1.0)
    """Discount of one move: below 1, a sooner win is worth more."""
    lr: float | Ramp = positive(0.5)
    """Share of an error near 0 that an update takes away, or its schedule over counted steps."""
    trace_lambda: float = fraction(0.7)
    """Weight of what followed in the game against the position's own best move (lambda-return)."""
    epsilon: float | Ramp = fraction(0.1)
    """Share of random moves in training."""
    simulations: int = not_negative(100)
    """Of a search that counts; 0 plays the move after which the value is best."""
    depth: int = at_least(1, 2)
    """Plies of full-width search before a leaf is valued."""
    sharpness: float = positive(4.0)
    """The search's prior is the softmax of the moves' values times this."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """How the tree grows."""

    def __post_init__(self) -> None:
        check_fields(self)


class NTuple(PlanningAgent):
    """Learns the value of positions; chooses by the value after each move in training, by search when it counts."""

    name = "ntuple"
    Config = NTupleConfig
    config: NTupleConfig
    network: TupleNetwork

    def __init__(self, spec: EnvSpec, config: NTupleConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device="cpu")
        if getattr(spec.simulator, "players", 0) != 2:
            raise InputError(f"{self.name} plays games for two, and {spec.id} is none: use a Boards/ game, or dqn")
        self.model = spec.simulator
        (leaf,) = spec.obs.values()
        height, width = leaf.shape[:2]
        if config.length > height * width:
            raise InputError(f"length {config.length} is more than the {height * width} cells of {spec.id}")
        need, free = 8 * config.tuples * STATES**config.length, available_memory()
        if need > free:
            raise InputError(
                f"{config.tuples} tuples of length {config.length} need {need / 1e9:,.3g} GB, "
                f"{free / 1e9:.2f} GB are free: choose a shorter length, such as 8"
            )
        tuples = random_tuples(height, width, config.tuples, config.length, generator(seed, "tuples"))
        self.network = TupleNetwork(tuples, self.model.symmetries, np.array(self.model.board.cells))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._action = np.zeros(num_envs, np.int64)
        self._cursors = [self.network.net.cursors(num_envs) for _ in range(2)]
        """The positions two plies ago and one: a player's stones are near those of its latest turn."""
        rows = (self.model.longest, num_envs)
        self._waiting = {
            "positions": np.zeros((*rows, 2), np.uint64),
            "best": np.zeros(rows, np.float32),
            "greedy": np.zeros(rows, bool),
            "count": np.zeros(num_envs, np.int64),
        }
        """The `count` [N] positions of each game that wait for its outcome, in the order of play."""

    @property
    def stack(self) -> int:
        return 1

    # the training stream

    def replay_fields(self) -> dict[str, Any]:
        return {"slots": 2}  # nothing is stored: each position is used once, at once

    def observe(self, ts: TimeStep) -> None:
        self._row = ts
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def update(self) -> Metrics | dict[str, Any] | None:
        """Chooses the next moves; learns from games whose outcome has become known."""
        ts, c, rng, w = self._row, self.config, self._stream.rng, self._waiting
        states = self.states(ts)
        q, value, settled = self.model.look_ahead(states, 1, self.network.net, self._cursors[0])
        self._cursors.reverse()
        random = rng.random(self.num_envs) < value_at(c.epsilon, self.step)
        drawn = np.where(q > -np.inf, rng.random(q.shape), -1.0)
        self._action = np.where(random[:, None], drawn, q).argmax(axis=1)
        w["count"][ts.first] = 0  # also of games that were cut
        over = ts.last | settled
        loss = self._learn(np.flatnonzero(over), np.where(ts.last, -ts.reward, value)[over].astype(np.float32))
        (on,) = np.nonzero(~over)  # nobody asks the network for a proved value
        at = w["count"][on]
        w["positions"][at, on, 0], w["positions"][at, on, 1] = states["mine"][on], states["theirs"][on]
        w["best"][at, on] = value[on]
        w["greedy"][at, on] = q[on, self._action[on]] == w["best"][at, on]
        w["count"][on] += 1
        return loss

    def _learn(self, games: np.ndarray, value: np.ndarray) -> dict[str, Any] | None:
        """Learns the waiting positions of `games` whose next position is worth `value` [K] to its player to move."""
        c, w = self.config, self._waiting
        count, greedy, best = (w[name][..., games] for name in ("count", "greedy", "best"))
        if not count.any():
            return None
        at, targets = [], []
        lambda_ = c.trace_lambda if self.spec.alternating else 0.0  # else the next row is of the same player
        for back in range(1, int(count.max()) + 1):
            left = np.flatnonzero(count >= back)
            ply = count[left] - back
            trace = np.where(greedy[ply, left], lambda_, 0.0)
            value[left] = c.gamma * ((1 - trace) * best[ply, left] - trace * value[left])
            at.append((ply, games[left]))
            targets.append(value[left])
        w["count"][games] = 0
        plies, rows = (np.concatenate(x) for x in zip(*at, strict=True))
        order = np.lexsort((-plies, plies % 2, rows))  # those of one game and player differ in few stones
        plies, rows, target = plies[order], rows[order], np.concatenate(targets)[order]
        loss = self.network.learn(w["positions"][plies, rows], target, value_at(c.lr, self.step))
        self.updates += 1
        return {"loss": loss}

    def act(self, ts: TimeStep) -> np.ndarray:
        return self._action.copy()

    # acting

    def evaluator(self, rng: np.random.Generator) -> Evaluate:
        return functools.partial(self._evaluate, self.config.depth)

    def prior(self, rng: np.random.Generator) -> Evaluate:
        """The value after each move."""
        return functools.partial(self._evaluate, 1)

    def _evaluate(self, depth: int, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        q, value, _ = self.model.look_ahead(states, depth, self.network.net)
        legal = q > -np.inf
        return np.where(legal, q, 0.0) * np.float32(self.config.sharpness), legal, value

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        count = np.full(len(ts.first), self.config.simulations)
        return self.plan(ts, count, actor.rng, noise=actor.mode == "sample")._replace(extra={})

    # for viewers and logs

    def schedule(self) -> dict[str, float]:
        return {"lr": value_at(self.config.lr, self.step), "epsilon": value_at(self.config.epsilon, self.step)}

    def setting_warnings(self) -> list[str]:
        if self.spec.alternating:
            return []
        return [f"{self.name} learns from both sides of a game: --set env.options.self_play=true plays both"]

    # saving

    def parts(self) -> dict[str, Any]:
        return {"stream": self._stream, "replay": self.replay}

    def learner_state(self) -> dict[str, Any]:
        waiting = {name: x.copy() for name, x in self._waiting.items()}
        return {"action": self._action.copy(), "waiting": waiting} | super().learner_state()

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._action = np.array(state["action"])
        self._waiting = {name: np.array(x) for name, x in state["waiting"].items()}
