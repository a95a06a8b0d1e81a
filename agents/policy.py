"""The base of the policy learners: advantages, normalisation, and the policy that acts.

A subclass defines `loss(batch)`. Selecting rows, averaging, backward, clipping and the optimizer step happen in
`agents.rollout`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import ActorCritic, Policy
from agents.base import Actor, Choice, Decision, Metrics, as_tensors
from agents.numpy_gradients import DensePolicy
from agents.numpy_gradients import gradient as numpy_gradient
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import Rollout, RolloutAgent, RowLoss
from agents.scale import box_warning
from rl import returns
from rl.device import uses_bf16
from rl.interface import EnvSpec, Obs, TimeStep
from rl.replay import ColumnSpec
from rl.schedules import Ramp, value_at


class PolicyBatch(NamedTuple):
    """The argument of `loss`: B transitions, or T rows of B environments if the policy has a recurrent core."""

    obs: dict[str, Tensor]  # [..., (S,) ...]
    mask: Tensor | None  # bool [..., A]
    first: Tensor  # bool [...]
    state: Tensor  # [B, state_size], before row 0; [0, 0] without a recurrent core
    action: Tensor  # [..., (K)]: the raw action, before any squash
    log_prob: Tensor  # [...], as acted
    value: Tensor  # [...], as acted
    advantage: Tensor  # [...]
    target: Tensor  # [...]: the value's target
    valid: Tensor  # bool [...]: the row starts a transition; all True without a recurrent core


class PolicyAgent(RolloutAgent):
    """Learns a policy and its value from the newest rows that it played."""

    config: PolicyLearnerConfig
    network: ActorCritic

    def __init__(
        self, spec: EnvSpec, config: PolicyLearnerConfig, *, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.ended = 0
        """Episodes that ended since the last update, counted at the `first` row after each."""

    def build_network(self) -> ActorCritic:
        network = ActorCritic(self.spec, self.config)
        network.bf16 = uses_bf16(self.config.precision, network, self.device)
        return network

    @cached_property
    def dense(self) -> DensePolicy | None:
        """The network in NumPy if it is small and plain enough (see `agents.numpy_gradients`), else None.

        Made at the first use: until then a subclass may replace the network or the optimizer.
        """
        return DensePolicy.of(self.network)

    @property
    def state_size(self) -> int:
        return self.network.state_size

    # the training stream

    def columns(self) -> list[ColumnSpec]:
        action = self.spec.action
        return [ColumnSpec("raw", action.shape, action.dtype), ColumnSpec("log_prob"), ColumnSpec("value")]

    def observe(self, ts: TimeStep) -> None:
        super().observe(ts)
        if self.replay.count > 1:
            self.ended += int(np.count_nonzero(ts.first))

    def last_value(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        return self._evaluate(obs, rows["state"][-1], rows["first"][-1], None).value

    def batch(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> PolicyBatch:
        first, value = rows["first"], rows["value"]
        advantage, target = self.advantages(self.rewards_of(rows), rows["discount"], first, value)
        return PolicyBatch(
            obs,
            mask=rows["mask"][:-1] if "mask" in rows else None,
            first=first[:-1],
            state=rows["state"][0],
            action=rows["raw"][1:],
            log_prob=rows["log_prob"][1:],
            value=value[:-1],
            advantage=advantage,
            target=target,
            valid=~first[1:],
        )

    def advantages(self, reward: Tensor, discount: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and value targets, [T, N], of rows [T+1, N] as in `rl.returns.gae`."""
        return returns.gae(reward, discount, first, value, self.config.gamma, self.config.gae_lambda)

    def learned(self, rollout: Rollout) -> None:
        super().learned(rollout)
        self.ended = 0

    def learn(self, rollout: Rollout) -> Metrics:
        """As in the base, plus the share of the targets' variance that the value explained while acting."""
        rows, metrics = rollout.rows, super().learn(rollout)
        spread = rows.target[rows.valid].var(unbiased=False)
        unexplained = (rows.target - rows.value)[rows.valid].var(unbiased=False)
        return {**metrics, "explained_variance": torch.where(spread > 1e-8, 1 - unexplained / spread, 0.0)}

    def gradient(self, batch: PolicyBatch) -> RowLoss:
        found = numpy_gradient(self, batch)
        return super().gradient(batch) if found is None else RowLoss(found.loss, found.metrics)

    def evaluate_actions(self, batch: PolicyBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(log-probability, entropy, value) of the batch's rows under the present network."""
        out: Policy = self.network(batch.obs, batch.state, batch.first if self.recurrent else None, batch.mask)
        return out.dist.log_prob(batch.action), out.dist.entropy(), out.value

    def prepared(self, batch: PolicyBatch) -> PolicyBatch:
        """With standardised advantages."""
        if not self.config.normalize_advantage:
            return batch
        valid = batch.advantage[batch.valid] if self.recurrent else batch.advantage
        if len(valid) < 2:  # one row has no deviation
            return batch
        spread, mean = torch.std_mean(valid)
        advantage = (batch.advantage - mean) / (spread + 1e-8)
        return batch._replace(advantage=advantage)

    # acting

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        if self.dense is None or actor.mode != "explore" or ts.mask is not None:
            return None
        kind = type(self)  # a subclass that chooses in its own way does so in training too
        ours = kind.choose is PolicyAgent.choose and kind._evaluate is PolicyAgent._evaluate
        return self.dense.draw(as_tensors(obs, self.device), actor.generator) if ours else None

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        mask = None if ts.mask is None else torch.from_numpy(ts.mask).to(self.device)
        first = torch.tensor(ts.first).to(self.device) if self.recurrent else None
        out = self._evaluate(obs, actor.memory, first, mask)
        if self.recurrent:
            actor.memory = out.state
        if actor.mode == "greedy":
            raw = out.dist.mode()
        else:
            if actor.mode == "explore" and self.config.policy.deviation == "gsde":
                if actor.noise is None or actor.age % self.config.noise_every == 0:
                    actor.noise = self.network.policy.draw_noise(actor.num_envs, actor.generator)
                actor.age += 1
            raw = out.dist.sample(actor.generator, actor.noise)
        extra = {}
        if actor.mode == "explore":
            extra = {"raw": _array(raw), "log_prob": _array(out.dist.log_prob(raw)), "value": _array(out.value)}
        return Choice(_array(out.dist.action(raw)), extra, out)

    def greedy(self, obs: dict[str, Tensor], mask: Tensor | None, state: Tensor | None) -> Decision:
        first = None if state is None else torch.zeros_like(state[:, 0], dtype=torch.bool)
        out: Policy = self.network(obs, state, first, mask)
        action = out.dist.action(out.dist.mode())
        return Decision(action, {**out.dist.numbers(), "value": out.value}, out.state if self.recurrent else None)

    def _evaluate(self, obs: dict[str, Tensor], state: Tensor, first: Tensor | None, mask: Tensor | None) -> Policy:
        """The network's output for one row of every environment."""
        if self.dense is not None and not torch.is_grad_enabled():  # a viewer may need gradients
            return self.dense(obs, state, mask)
        return self.network(obs, state, first, mask)  # type: ignore[no-any-return]

    # for viewers and logs

    def schedule(self) -> dict[str, float]:
        ramps = {k: v.at(self.step) for k, v in vars(self.config).items() if isinstance(v, Ramp)}
        return {"lr": value_at(self.config.lr, self.step), **ramps}

    def choices(self) -> dict[str, Any]:
        critic = "shared" if self.network.critic_torso is None else "separate"
        return {"precision": "bf16" if self.network.bf16 else "fp32", "critic": critic}

    def setting_warnings(self) -> list[str]:
        if self.spec.action.kind != "box":
            return []
        policy = self.config.policy
        line = box_warning(self.name, self.spec.action, math.exp(policy.log_std), policy.squash)
        return [line] if line else []

    # saving

    keeps_returns = True

    def learner_state(self) -> dict[str, Any]:
        return {"ended": self.ended, **super().learner_state()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self.ended = state["ended"]


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
