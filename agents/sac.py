"""SAC (Haarnoja et al. 2018): a stochastic policy that earns reward and entropy, with a learned temperature.

Continuous actions: a Gaussian squashed by tanh. Discrete actions: a categorical policy, with expectations over actions
instead of samples (Christodoulou 2019). TQC, CrossQ and DroQ are fields of `CriticConfig`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from agents.actor_critic import Policy
from agents.base import Actor, Metrics
from agents.critic_gradients import DenseParts
from agents.critics import CriticAgent, CriticConfig, PolicyAndCritics, frozen, moving_net
from agents.replay_agent import Batch
from rl.distributions import Distribution, GaussianHead, PolicyConfig, Squashed, policy_head
from rl.errors import InputError
from rl.fields import at_least, fraction, positive, positive_or_none
from rl.interface import ActionSpec, EnvSpec
from rl.networks.dense import Dense
from rl.networks.moving import learning
from rl.networks.torso import build_torso
from rl.optim import FlatOptimizer
from rl.schedules import Ramp


@dataclass(frozen=True)
class SACConfig(CriticConfig):
    """SAC's own fields."""

    SWITCHES: ClassVar[dict[str, str]] = {
        **CriticConfig.SWITCHES,
        "noise_every": "gsde",
        "initial_temperature": "not temperature",
        "target_entropy": "not temperature",
        "entropy_share": "not temperature",
    }

    policy_lr: float | Ramp | None = positive_or_none(None)
    """Learning rate of the policy and the temperature; none is as `lr`."""
    temperature: float | None = positive_or_none(None)
    """Weight of the entropy; none learns it."""
    initial_temperature: float = positive(1.0)
    """Weight of the entropy at the start of learning it."""
    target_entropy: float | None = None
    """Entropy of continuous actions in [-1, 1] that the temperature keeps; none is minus their number."""
    entropy_share: float = fraction(0.5)
    """Entropy of discrete actions that the temperature keeps, as a share of the uniform policy's."""
    log_std: float = 0.0
    """Logarithm of the Gaussian's initial deviation (gSDE: of each weight of its noise)."""
    gsde: bool = False
    """Explore smoothly, by noise that depends on the state (Raffin et al. 2021)."""
    noise_every: int = at_least(1, 8)
    """Steps for which gSDE's noise is held."""


class SACPolicy(nn.Module, DenseParts):
    """Observations [B, ...] to a distribution over actions in [-1, 1]^K, or over discrete actions."""

    def __init__(self, spec: EnvSpec, config: SACConfig) -> None:
        super().__init__()
        self.torso = build_torso(spec, moving_net(config.net, config), config.stack)
        action, policy = spec.action, PolicyConfig(gain=0.0)
        if action.kind == "box":
            action = ActionSpec("box", low=(-1.0,) * action.size, high=(1.0,) * action.size)
            policy = PolicyConfig("gsde" if config.gsde else "state", config.log_std, squash=True, gain=0.0)
        self.head = policy_head(action, self.torso.out_features, policy)

    def forward(self, obs: dict[str, Tensor], mask: Tensor | None = None) -> Distribution:
        return self.head(self.torso(obs)[0], mask)  # type: ignore[no-any-return]

    def dense_parts(self) -> list[Dense | None]:
        head = self.head
        ours = type(self) is SACPolicy and type(head) is GaussianHead and head.deviation == "state"
        return [Dense.of(self.torso, head.mean, head.log_std_layer) if ours else None]  # type: ignore[arg-type]


class Temperature(nn.Module):
    """The weight of the entropy, learned as its logarithm."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(start)))


class SAC(CriticAgent):
    """A policy that maximises the critics' value plus the temperature times its entropy."""

    name = "sac"
    numpy_loss = "sac"
    Config = SACConfig
    config: SACConfig

    def __init__(self, spec: EnvSpec, config: SACConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.optimizers["temperature"] = FlatOptimizer(self.network["temperature"])

    def _check(self) -> None:
        super()._check()
        wrong = {"gsde": False, "log_std": 0.0, "target_entropy": None} if not self.box else {"entropy_share": 0.5}
        for name, default in wrong.items():
            value = getattr(self.config, name)
            if value != default:
                kinds = ("discrete", "continuous") if self.box else ("continuous", "discrete")
                raise InputError(
                    f"{name}={value} is for {kinds[0]} actions, those of {self.spec.id} are {kinds[1]}: leave it out"
                )

    def build_network(self) -> PolicyAndCritics:
        network = super().build_network()
        network["temperature"] = Temperature(self.config.temperature or self.config.initial_temperature)
        return network

    def build_policy(self) -> nn.Module:
        return SACPolicy(self.spec, self.config)

    @property
    def temperature(self) -> Tensor:
        """The weight of the entropy, a detached scalar."""
        return self.network["temperature"].log.detach().exp()  # type: ignore[union-attr, operator, no-any-return]

    # learning

    def next_policy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The policy at the next observation, and its entropy times the temperature (equation 3)."""
        dist = self.network["policy"](batch.next_obs, batch.next_mask)
        if not self.box:
            return dist.log_probs.exp(), self.temperature * dist.entropy()
        raw = dist.sample(self._noise)
        return dist.action(raw), -self.temperature * dist.log_prob(raw)

    def learn_policy(self, batch: Batch) -> Metrics:
        c, temperature = self.config, self.temperature
        if self.dense is not None and self.dense.learns:
            loss, entropy = self.dense.learn_sac(batch)
        else:
            loss, entropy = self.loss_and_entropy(batch)
            self.optimizers["policy"].backward(loss)
        self.apply("policy", loss.detach(), c.policy_lr or c.lr)
        if c.temperature is None and self.network["temperature"].log.requires_grad:  # type: ignore[union-attr]
            self.learn_temperature(batch, entropy)
        return {"policy_loss": loss.detach(), "entropy": entropy.mean(), "temperature": temperature}

    def policy_loss(self, batch: Batch) -> Tensor:
        return self.loss_and_entropy(batch)[0]

    def loss_and_entropy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The policy's loss (equation 9), and its entropy [B] without a gradient."""
        value, entropy = self.policy_value(batch)
        return -(value + self.temperature * entropy).mean(), entropy.detach()

    def policy_value(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The critics' value of what the policy does now, and its entropy, [B] each, with the policy's gradient.

        Continuous actions are sampled by reparameterisation and judged by the lowest critic, or by the mean of all
        quantiles. Discrete ones are weighted by their probabilities and judged by the mean critic.
        """
        critics, policy = self.network["critics"], self.network["policy"]
        with learning(policy):
            dist = policy(batch.obs, batch.mask)
        if not self.box:
            with torch.no_grad():
                q_values = critics(batch.obs).mean(1)
            return (dist.log_probs.exp() * q_values).sum(-1), dist.entropy()
        raw = dist.sample(self._noise)
        with frozen(critics):
            values = critics(batch.obs, dist.action(raw))  # [B, E, Z]
        value = values.squeeze(-1).amin(1) if self.config.quantiles == 1 else values.mean((1, 2))
        return value, -dist.log_prob(raw)

    def learn_temperature(self, batch: Batch, entropy: Tensor) -> None:
        """Raises the temperature while the entropy [B] is below its target, and lowers it while above (equation 18)."""
        c, log = self.config, self.network["temperature"].log
        if self.box:
            target: Any = -float(self.spec.action.size) if c.target_entropy is None else c.target_entropy
        else:
            mask, logits = batch.mask, self.spec.action.logits
            target = c.entropy_share * (math.log(logits) if mask is None else mask.sum(-1).clamp(min=1).log())
        above = (entropy - target).mean()
        self.optimizers["temperature"].grad.copy_(above)  # of the loss log * above
        self.apply("temperature", log.detach() * above, c.policy_lr or c.lr)  # type: ignore[operator]

    # acting

    def decide(self, actor: Actor, obs: dict[str, Tensor], mask: Tensor | None) -> tuple[Tensor, Any]:
        dist = self.network["policy"](obs, mask)
        if actor.mode == "greedy":
            raw = dist.mode()
        else:
            raw = dist.sample(actor.generator, self._held_noise(actor))
        action = dist.action(raw)
        return action, None if actor.mode == "explore" else self._shown(obs, action, dist)

    def _held_noise(self, actor: Actor) -> Tensor | None:
        """gSDE's noise of an exploring actor, drawn again every `noise_every` steps."""
        if not self.config.gsde or actor.mode != "explore":
            return None
        if actor.noise is None:
            actor.age = 0
        if actor.age % self.config.noise_every == 0:
            actor.noise = self.network["policy"].head.draw_noise(actor.num_envs, actor.generator)  # type: ignore[union-attr, operator]
        actor.age += 1
        return actor.noise

    def _shown(self, obs: dict[str, Tensor], action: Tensor, dist: Any) -> Policy:
        """The policy in the environment's units, and the critics' values of it."""
        if self.bounds is None:
            each = (dist.log_probs.exp().unsqueeze(1) * self.network["critics"](obs)).sum(-1)
            value = each.mean(1)
        else:
            each = self.network["critics"](obs, action).mean(-1)
            value = each.amin(1)
            dist = Squashed(dist.base, self.bounds.centre, self.bounds.half)
        return Policy(dist, value, value.new_zeros(value.shape[0], 0), each)
