"""MCTS with random games as the evaluation (Kocsis and Szepesvari 2006; Coulom 2006): plans and never learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from agents.base import Actor, Choice, Metrics
from agents.planning import PlanningAgent
from rl.fields import at_least, check_fields
from rl.interface import EnvSpec, TimeStep
from rl.search.model import random_rollouts
from rl.search.search import Evaluate, SearchConfig


@dataclass(frozen=True)
class MCTSConfig:
    """Fields of the search."""

    SWITCHES: ClassVar[dict[str, str]] = {}

    simulations: int = at_least(1, 200)
    """Random games before each move."""
    search: SearchConfig = field(default_factory=lambda: SearchConfig(rule="puct"))
    """How the tree grows; all moves have the same prior."""

    def __post_init__(self) -> None:
        check_fields(self)


class MCTS(PlanningAgent):
    """Searches before every move, with the outcome of one random game as the value of each new position."""

    name = "mcts"
    Config = MCTSConfig
    config: MCTSConfig

    def __init__(self, spec: EnvSpec, config: MCTSConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.model = self.require_model(spec)
        self.network = nn.Module()
        self._stream = Actor(self, num_envs, seed, "train", mode="greedy")

    @property
    def stack(self) -> int:
        return 1

    def observe(self, ts: TimeStep) -> None:
        self.replay.append(ts)
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def update(self) -> Metrics | None:
        return None

    def replay_fields(self) -> dict[str, Any]:
        return {"slots": 2}

    def evaluator(self, rng: np.random.Generator) -> Evaluate:
        return random_rollouts(self.model, rng)

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        count = np.full(actor.num_envs, self.config.simulations)
        return self.plan(ts, count, actor.rng, noise=actor.mode == "sample")._replace(extra={})

    def draws(self, sample: bool) -> bool:
        return True  # the random games

    def reward_scale_warning(self, value: float) -> str:
        return ""

    def parts(self) -> dict[str, Any]:
        return {"stream": self._stream, "replay": self.replay}
