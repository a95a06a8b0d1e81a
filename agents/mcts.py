"""MCTS with random games as the evaluation (Kocsis and Szepesvari 2006; Coulom 2006): plans and never learns.

It plays board games, and every environment with discrete actions whose state can be copied: toy text, classic control
and the arcade. If an action may have several outcomes, the search draws one at each visit and the tree has a branch for
each that was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from agents.base import Actor, Choice, Metrics
from agents.planning import PlanningAgent
from rl.errors import InputError
from rl.fields import at_least, check_fields, fraction
from rl.interface import EnvSpec, TimeStep
from rl.search.model import Rollouts, random_rollouts
from rl.search.search import Evaluate, SearchConfig


@dataclass(frozen=True)
class MCTSConfig:
    """Fields of the search."""

    SWITCHES: ClassVar[dict[str, str]] = {}

    simulations: int = at_least(1, 200)
    """States that the search adds before each move."""
    games: int = at_least(1, 1)
    """Random games from each new state; several make its value less noisy, at little cost if the rules are compiled."""
    gamma: float = fraction(0.99)
    """Discount of one step; board games have none."""
    rollout_steps: int = at_least(1, 100)
    """Steps after which a random game is cut; board games are played to their end."""
    hold: int = at_least(1, 1)
    """Each random action of a random game is held for 1 to `hold` steps: long holds reach far goals."""
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
        if spec.action.kind != "discrete":
            raise InputError(f"mcts needs discrete actions, {spec.id} has {spec.action.kind}: try sac or ppo")
        if spec.simulator is None:
            raise InputError(f"mcts plans with a copy of the environment, and {spec.id} gives none: try ppo or dqn")
        self.model = spec.simulator
        if self.model.players == 1:
            for name in ("lookahead", "solve"):
                if value := getattr(config.search, name):
                    raise InputError(f"search.{name} {value} is for board games, and {spec.id} is none: leave it out")
            try:
                self.model.require()
            except InputError as error:
                raise InputError(f"mcts plans with a copy of {spec.id}, but {error}: try ppo or dqn") from None
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
        c = self.config
        return random_rollouts(self.model, rng, Rollouts(c.gamma, c.rollout_steps, c.hold, c.games))

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        count = np.full(len(ts.first), self.config.simulations)
        return self.plan(ts, count, actor.rng, noise=actor.mode == "sample")._replace(extra={})

    def draws(self, sample: bool) -> bool:
        return True  # the random games

    def settings_warning(self, value: float) -> str:
        return ""

    def parts(self) -> dict[str, Any]:
        return {"stream": self._stream, "replay": self.replay}
