"""The base of all learners from the replay: rows in, bursts of updates on sampled windows, priorities.

The replay stores raw observations and rewards. `normalize_obs` and `normalize_return` apply to samples, not to stored
rows: a row stays in the replay while the moments move, and all inputs of a network must share one scale. Acting,
losses and targets use the moments of all rows observed so far.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import Agent, Metrics, as_tensors
from agents.value_config import ReplayConfig
from rl import returns
from rl.interface import EnvSpec, TimeStep
from rl.normalise import ReturnMoments
from rl.replay import Windows
from rl.schedules import crossed, value_at


class Batch(NamedTuple):
    """The argument of `loss`: B n-step transitions as tensors on the agent's device."""

    obs: dict[str, Tensor]  # [B, (S,) ...]
    mask: Tensor | None  # bool [B, A]
    action: Tensor  # int64 [B], or float32 [B, K] as the agent returned it
    reward: Tensor  # float32 [B]: the n-step return without the bootstrap, clipped as the learner sees it
    discount: Tensor  # float32 [B]: gamma^n, or 0 if the episode ended
    next_obs: dict[str, Tensor]
    next_mask: Tensor | None


class ReplayAgent(Agent):
    """Learns from sampled windows of the shared replay."""

    config: ReplayConfig
    overlaps: ClassVar[bool] = True
    """Whether another instance with this one's acting stream can act for it (`agents.overlap`)."""

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.returns = ReturnMoments(num_envs) if config.normalize_return else None
        """Moments of the discounted return, on the CPU; None without `normalize_return`."""

    @property
    def learning_starts(self) -> int:
        """Counted steps of uniformly random play."""
        return self.config.learning_starts

    def replay_fields(self) -> dict[str, Any]:
        c = self.config
        slots = max(-(-c.buffer_size // self.num_envs), c.stack + 1)
        return {"slots": slots, "stack": c.stack, "prioritized": c.prioritized, "store": c.store}

    def stored(self) -> dict[str, np.ndarray] | None:
        """The replay's own columns of the row being observed."""
        return None

    def observe(self, ts: TimeStep) -> None:
        self.store(ts, self.stored())

    def store(self, ts: TimeStep, stored: dict[str, np.ndarray] | None) -> None:
        """Takes a row with the replay's own columns, and counts it."""
        self.reward_scale.observe(self, ts)
        self.replay.append(ts, stored)
        for normaliser in self.normalisers:
            normaliser.update(as_tensors(ts.obs, self.device))
        if self.returns is not None:
            reward, discount, first = (
                torch.from_numpy(x)[None] for x in (self.clipped(ts.reward), ts.discount, ts.first)
            )
            self.returns.add(reward, discount, first, self.config.gamma)
        self._before = self.step
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def due(self, before: int, step: int) -> bool:
        """Whether a burst of updates is due at the row that took the counted steps from `before` to `step`."""
        return step >= self.learning_starts and crossed(before, step, self.config.update_every)

    def update(self) -> Metrics | None:
        c, starts = self.config, self.learning_starts
        if not self.due(self._before, self.step):
            return None
        counted = self.step // c.update_every - starts // c.update_every  # whole bursts, including the first one
        metrics = None
        for _ in range(int(c.replay_ratio * c.update_every * counted) - self.updates):
            sampled = self.sample()
            if sampled is None:
                break
            metrics = self.learn(sampled)
        return metrics

    def sample(self) -> Any:
        """The sample of one update, with its `rows` and `weight`; None if there are no samples yet."""
        c = self.config
        return self.replay.sample(c.batch_size, c.n_step, value_at(c.importance, self.step))

    @abstractmethod
    def learn(self, windows: Any) -> Metrics:
        """One gradient update on a sample; raises NonFiniteError if a loss or its gradient is not finite."""

    def set_priorities(self, rows: np.ndarray, priority: Tensor) -> None:
        """New priorities [B] of the sampled rows, if the replay is prioritized."""
        if self.config.prioritized:
            sizes = priority.detach().float().cpu().numpy().astype(np.float64)
            self.replay.set_priorities(rows, (sizes + 1e-6) ** self.config.priority_exponent)

    def clipped(self, reward: np.ndarray) -> np.ndarray:
        """The rewards as `reward_clip` leaves them for the learner."""
        limit = self.config.reward_clip
        return reward if limit is None else np.clip(reward, -limit, limit)

    def learner_rewards(self, reward: np.ndarray) -> np.ndarray:
        """The rewards that are learned from: clipped, then divided by the deviation of the discounted return."""
        reward = self.clipped(reward)
        return reward if self.returns is None else self.returns.scaled(torch.from_numpy(reward)).numpy()

    def _batch(self, w: Windows) -> Batch:
        c, device = self.config, self.device
        total, discount = returns.n_step(self.learner_rewards(w.reward), w.discount, w.length, c.gamma)
        rest = {"action": w.action, "reward": total, "discount": discount}
        if w.mask is not None and w.next_mask is not None:
            rest |= {"mask": w.mask, "next_mask": w.next_mask}
        t = as_tensors(rest, device)
        return Batch(
            obs=self.normalised(as_tensors(w.obs, device)),
            mask=t.get("mask"),
            action=t["action"],
            reward=t["reward"],
            discount=t["discount"],
            next_obs=self.normalised(as_tensors(w.next_obs, device)),
            next_mask=t.get("next_mask"),
        )

    # saving

    def learner_state(self) -> dict[str, Any]:
        saved = {"before": self._before, **super().learner_state()}
        if self.returns is not None:
            saved |= {"returns": dict(self.returns.state_dict()), "running": self.returns.running.clone()}
        return saved

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._before = state["before"]
        if self.returns is not None:
            self.returns.load_state_dict(state["returns"])
            self.returns.running = state["running"].cpu()
