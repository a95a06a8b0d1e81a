"""TD3 (Fujimoto et al. 2018): a deterministic policy, with clipped noise in the target and delayed policy updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.actor_critic import Policy
from agents.base import Actor, Metrics
from agents.critic_gradients import DenseParts
from agents.critics import CriticAgent, CriticConfig, frozen, moving_net
from agents.replay_agent import Batch
from rl.distributions import DiagGaussian
from rl.errors import InputError
from rl.fields import not_negative
from rl.interface import EnvSpec
from rl.networks.dense import Dense
from rl.networks.moving import learning
from rl.networks.torso import build_torso
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class TD3Config(CriticConfig):
    """TD3's own fields. Noise is in units of half the action's range."""

    lr: float | Ramp = 1e-3
    policy_delay: int = 2
    explore_noise: float | Ramp = not_negative(0.1)
    """Deviation of the noise on actions in training."""
    target_noise: float = not_negative(0.2)
    """Deviation of the noise on the target policy's actions."""
    target_noise_clip: float = not_negative(0.5)
    """Largest noise on the target policy's actions."""


class TD3Policy(nn.Module, DenseParts):
    """Observations [B, ...] to actions [B, K] in [-1, 1]."""

    def __init__(self, spec: EnvSpec, config: TD3Config) -> None:
        super().__init__()
        self.torso = build_torso(spec, moving_net(config.net, config), config.stack)
        self.head = nn.Linear(self.torso.out_features, spec.action.size)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        return self.head(self.torso(obs)[0]).tanh()  # type: ignore[no-any-return]

    def dense_parts(self) -> list[Dense | None]:
        return [Dense.of(self.torso, self.head) if type(self) is TD3Policy else None]


class TD3(CriticAgent):
    """A policy that climbs the first critic; the target is the lowest target critic's at a noisy action."""

    name = "td3"
    numpy_loss = "td3"
    Config = TD3Config
    config: TD3Config
    target_names = ("policy", "critics")

    def _check(self) -> None:
        if not self.box:
            raise InputError(f"td3 needs continuous actions, {self.spec.id} has {self.spec.action.kind}: try sac")
        super()._check()

    def build_policy(self) -> nn.Module:
        return TD3Policy(self.spec, self.config)

    def next_policy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The target policy's action with clipped noise, clipped to the bounds (algorithm 1); nothing is added."""
        c = self.config
        policy = self.targets["policy"].module if self.targets else self.network["policy"]
        action = policy(batch.next_obs)
        noise = torch.randn(action.shape, generator=self._noise, device=self.device) * c.target_noise
        noisy = action + noise.clamp(-c.target_noise_clip, c.target_noise_clip)
        return noisy.clamp(-1.0, 1.0), torch.zeros_like(batch.reward)

    def policy_loss(self, batch: Batch) -> Tensor:
        critics, policy = self.network["critics"], self.network["policy"]
        with learning(policy):
            action = policy(batch.obs)
        with frozen(critics):
            return -critics(batch.obs, action, first=True).mean()  # type: ignore[no-any-return]

    def learn_policy(self, batch: Batch) -> Metrics:
        if self.dense is not None and self.dense.learns:
            loss = self.dense.learn_td3(batch)
        else:
            loss = self.policy_loss(batch)
            self.optimizers["policy"].backward(loss)
        self.apply("policy", loss.detach(), self.config.lr)
        return {"policy_loss": loss.detach()}

    def move_targets(self) -> None:
        if self.updates % self.config.policy_delay == 0:
            super().move_targets()

    def decide(self, actor: Actor, obs: dict[str, Tensor], mask: Tensor | None) -> tuple[Tensor, Any]:
        mean = self.network["policy"](obs)
        noise = value_at(self.config.explore_noise, self.step)
        action = mean
        if actor.mode != "greedy":
            drawn = torch.randn(mean.shape, generator=actor.generator, device=self.device)
            action = (mean + noise * drawn).clamp(-1.0, 1.0)
        return action, None if actor.mode == "explore" else self._shown(obs, action, mean, noise)

    def _shown(self, obs: dict[str, Tensor], action: Tensor, mean: Tensor, noise: float) -> Policy:
        """The policy in the environment's units, and the critics' values of the action."""
        assert self.bounds is not None
        each = self.network["critics"](obs, action).mean(-1)
        dist = DiagGaussian(self.bounds.outside(mean), (self.bounds.half * noise).log())
        return Policy(dist, each.amin(1), each.new_zeros(each.shape[0], 0), each)
