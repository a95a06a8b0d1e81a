"""REINFORCE (Williams 1992): whole episodes, the whole return, with a learned baseline as a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from agents.policy import PolicyAgent, PolicyBatch
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import Rollout, RowLoss
from rl.axes import Axis, size
from rl.errors import InputError
from rl.fields import at_least
from rl.interface import EnvSpec
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class ReinforceConfig(PolicyLearnerConfig):
    """REINFORCE's own fields."""

    SPACE: ClassVar[dict[str, Axis]] = {
        **{k: v for k, v in PolicyLearnerConfig.SPACE.items() if k not in ("rollout", "gae_lambda")},
        "episodes": size(1, 32),
    }

    baseline: bool = True
    """Subtract a learned value from the return, and bootstrap from it at a time limit."""
    episodes: int = at_least(1, 8)
    """Finished episodes in one update."""
    rollout: int = 4_096
    """Most rows of an environment in one update; a longer episode is cut there."""
    gae_lambda: float = 1.0
    """The whole return; fixed."""
    lr: float | Ramp = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gae_lambda != 1.0:
            raise InputError(f"reinforce learns from whole returns: gae_lambda must be 1, got {self.gae_lambda}")
        if not self.baseline and self.value_cost != PolicyLearnerConfig.value_cost:
            raise InputError(f"value_cost={self.value_cost} is for baseline=True: leave it out")


class Reinforce(PolicyAgent):
    """One policy-gradient update for every few finished episodes.

    The rows of an unfinished episode wait for an update after its end: dropping them would bias learning towards short
    episodes. An episode that began before an update was partly played by the policy before that update.
    """

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def __init__(
        self, spec: EnvSpec, config: ReinforceConfig, *, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        if config.normalize_return and num_envs > 1:
            raise InputError(f"normalize_return with reinforce needs one environment, got num_envs={num_envs}")
        self._used = np.zeros(num_envs, np.int64)
        """Time of the first row of each environment that no update has used."""

    def due(self) -> bool:
        return self.ended >= self.config.episodes or super().due()

    def rollout(self, length: int) -> Rollout:
        rollout = super().rollout(length)
        start, newest = self.replay.count - length, self.replay.count - 1
        taken = torch.from_numpy(np.arange(start, newest)[:, None] >= self._used).to(self.device)
        if length > self.config.rollout:  # the replay is full: unfinished episodes are used too
            self._used[:] = newest
        else:
            taken &= rollout.ended.flip(0).cummax(0).values.flip(0)  # [T, N]: an end comes at or after this row
            after = start + 1 + torch.arange(length - 1, device=self.device).unsqueeze(1)
            self._used = np.maximum(self._used, torch.where(rollout.ended, after, 0).amax(0).cpu().numpy())
        return rollout._replace(rows=rollout.rows._replace(valid=rollout.rows.valid & taken))

    def begin_next(self) -> int:
        return int(self._used.min())

    def learner_state(self) -> dict[str, Any]:
        return super().learner_state() | {"used": self._used.copy()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._used = np.array(state["used"])

    def advantages(self, reward: Tensor, discount: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        # without a baseline, values are neither subtracted nor bootstrapped from
        return super().advantages(reward, discount, first, value if self.config.baseline else torch.zeros_like(value))

    def loss(self, batch: PolicyBatch) -> RowLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        gain = log_prob * batch.advantage
        loss = -gain - value_at(c.entropy_cost, self.step) * entropy
        metrics = {"policy_loss": -gain, "entropy": entropy}
        if c.baseline:
            metrics["value_loss"] = (value - batch.target).square()
            loss = loss + c.value_cost * metrics["value_loss"]
        return RowLoss(loss, metrics)
