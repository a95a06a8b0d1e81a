"""The base of the learners that train a policy against an ensemble of critics: SAC, TD3 and their successors.

Critics and policies work on actions in [-1, 1]; `ActionBounds` maps them to the environment's bounds and back.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Choice, Decision, Metrics, as_tensors
from agents.critic_gradients import DenseCritics, DenseParts
from agents.replay_agent import Batch, ReplayAgent
from agents.value_config import ReplayConfig
from agents.value_player import epsilon_greedy
from rl.axes import Axis, choice, rate
from rl.errors import InputError, NonFiniteError
from rl.fields import at_least, not_negative, positive, within
from rl.interface import ActionSpec, EnvSpec, Obs, ObsLeaf, TimeStep
from rl.losses import bootstrap, midpoints, quantile_huber, squared, take
from rl.networks import NetConfig
from rl.networks.config import MovingNetConfig
from rl.networks.dense import Dense
from rl.networks.init import seeded
from rl.networks.moving import learning, seed_dropout
from rl.networks.torso import Encoder, Torso, build_torso
from rl.optim import FlatOptimizer, FlatParameters
from rl.replay import Windows
from rl.schedules import Ramp, value_at
from rl.seeding import derive_seed

ACTION = "(action)"
"""The leaf that a critic's encoder reads the action from, besides the observation's leaves."""


_GREEDY: Any = SimpleNamespace(mode="greedy")
"""All that `decide` reads of a greedy actor."""


@dataclass(frozen=True)
class CriticConfig(ReplayConfig):
    """Fields that every learner with critics uses, or refuses at construction."""

    SWITCHES: ClassVar[dict[str, str]] = {
        **ReplayConfig.SWITCHES,
        "renorm_warmup": "batch_renorm",
        "target_tau": "not batch_renorm",
        "dropped": "quantiles",
    }
    SPACE: ClassVar[dict[str, Axis]] = {
        **ReplayConfig.SPACE,
        "target_tau": rate(1e-3, 0.1),
        "net.hidden": choice("64x64", "128x128", "256x256", "400x300"),
    }

    net: NetConfig = field(default_factory=lambda: NetConfig(hidden=(256, 256)))
    critic_net: NetConfig | None = None
    """The network of each critic; none is as `net`."""
    lr: float | Ramp = positive(3e-4)
    max_grad_norm: float | None = None
    batch_size: int = 256
    buffer_size: int = 1_000_000
    replay_ratio: float = 1.0
    update_every: int = 1
    target_tau: float = 0.005
    beta1: float = within(0.9, lambda x: 0 <= x < 1, "lie in [0, 1)")
    """Adam's decay of the mean gradient."""
    critics: int = at_least(1, 2)
    """Critics in the ensemble; the target is their minimum."""
    quantiles: int = at_least(1, 1)
    """Quantiles of each critic's return (TQC, Kuznetsov et al. 2020: 25); 1 is a plain value."""
    dropped: int = not_negative(2)
    """Largest quantiles, for each critic, that the target leaves out if there are several."""
    dropout: float = within(0.0, lambda x: 0 <= x < 1, "lie in [0, 1)")
    """Dropout in the critics' hidden layers while they learn (DroQ, Hiraoka et al. 2022: 0.01)."""
    batch_renorm: bool = False
    """CrossQ (Bhatt et al. 2024): batch renormalisation, one joint forward pass, no target network."""
    renorm_warmup: int = not_negative(100_000)
    """Updates during which batch renormalisation is plain batch normalisation."""
    policy_delay: int = at_least(1, 1)
    """Critic updates between updates of the policy."""
    random_hold: int = at_least(1, 1)
    """Steps for which each random action before `learning_starts` is held: far states need a push, not a jitter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize_obs and self.critic_net is not None and self.critic_net.encoder == "simba":
            raise InputError("critic_net.encoder 'simba' standardises observations itself: leave normalize_obs out")
        if self.batch_renorm and self.batch_size < 2:
            raise InputError(f"batch_renorm needs 2 rows for a spread, and batch_size is {self.batch_size}: raise it")
        if 1 < self.quantiles <= self.dropped:
            raise InputError(f"dropped {self.dropped} leaves none of {self.quantiles} quantiles: set it lower")


def moving_net(net: NetConfig, config: CriticConfig, dropout: float = 0.0) -> MovingNetConfig:
    """`net` with the layers of CrossQ and DroQ that `config` asks for."""
    renorm = config.renorm_warmup if config.batch_renorm else None
    if (dropout or renorm is not None) and (net.encoder == "simba" or ":" in net.encoder):
        raise InputError(
            f"batch_renorm and dropout are layers of an MLP, and encoder {net.encoder!r} has its own layers"
        )
    return MovingNetConfig(**vars(net), dropout=dropout, renorm=renorm)


class ActionBounds:
    """Maps actions in [-1, 1] to a box's bounds and back."""

    def __init__(self, action: ActionSpec, env: str, device: torch.device) -> None:
        low, high = np.array(action.low), np.array(action.high)
        if not np.isfinite(low - high).all():
            raise InputError(
                f"{env}: the actions have no bounds, {low.min()} to {high.max()}: wrap it in RescaleAction"
            )
        if (low >= high).any():
            worst = int(np.argmax(low - high))
            raise InputError(f"{env}: action {worst} has bounds {low[worst]} to {high[worst]}: the lower must be less")
        self.centre = torch.tensor((low + high) / 2, dtype=torch.float32, device=device)
        self.half = torch.tensor((high - low) / 2, dtype=torch.float32, device=device)

    def outside(self, unit: Tensor) -> Tensor:
        """Converts actions [..., K] from [-1, 1] to the environment's units."""
        return self.centre + self.half * unit

    def inside(self, action: Tensor) -> Tensor:
        """Converts actions [..., K] from the environment's units to [-1, 1], and clips them."""
        return ((action - self.centre) / self.half).clamp(-1.0, 1.0)


class Critics(nn.Module, DenseParts):
    """An ensemble of E critics: observations and actions [B, K] to [B, E, Z]; discrete actions: to [B, E, A]."""

    def __init__(self, spec: EnvSpec, config: CriticConfig) -> None:
        super().__init__()
        self.box, self.stack = spec.action.kind == "box", config.stack
        if self.box:
            spec = replace(spec, obs={**spec.obs, ACTION: ObsLeaf((spec.action.size,), "float32", "action")})
        net = moving_net(config.critic_net or config.net, config, config.dropout)
        torsos = [build_torso(spec, net, config.stack) for _ in range(config.critics)]
        outputs = config.quantiles if self.box else spec.action.logits
        self.torsos = nn.ModuleList(torsos)
        self.heads = nn.ModuleList(nn.Linear(torso.out_features, outputs) for torso in torsos)
        floats = all(
            x.kind in ("vector", "action") and x.dtype == "float32" and len(x.shape) == 1 for x in spec.obs.values()
        )
        self.names = list(spec.obs)
        self.flat = floats and config.stack == 1 and type(torsos[0].encoder) is Encoder
        """Whether the critics only concatenate what they see, which is then done once for all of them."""

    def forward(self, obs: dict[str, Tensor], action: Tensor | None = None, first: bool = False) -> Tensor:
        """The values; with `first` those of the first critic alone, [B, 1, Z]."""
        if self.box:
            assert action is not None
            frames = action if self.stack == 1 else action.unsqueeze(1).expand(-1, self.stack, -1)
            obs = {**obs, ACTION: frames}
        count = 1 if first else len(self.torsos)
        if self.flat:
            seen = torch.cat([obs[name] for name in self.names], -1)
            features = [torso.encoder.mlp(seen) for torso in self.torsos[:count]]  # type: ignore[union-attr, operator]
        else:
            features = [torso(obs)[0] for torso in self.torsos[:count]]
        return torch.stack([head(x) for head, x in zip(self.heads, features, strict=False)], 1)

    def dense_parts(self) -> list[Dense | None]:
        if type(self) is not Critics or not self.flat or any(type(torso) is not Torso for torso in self.torsos):
            return [None]
        pairs: Any = zip(self.torsos, self.heads, strict=True)
        return [Dense.of_mlp(torso.encoder.mlp, head) for torso, head in pairs]


class PolicyAndCritics(nn.ModuleDict):
    """The parts "policy" and "critics", and those that a subclass adds."""

    def forward(self, obs: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """The policy's output, and the critics' values of its best action."""
        out = self["policy"](obs)
        action = out if isinstance(out, Tensor) else out.action(out.mode())
        return out, self["critics"](obs, action)


class CriticAgent(ReplayAgent):
    """Learns a policy against critics, from sampled windows of the shared replay.

    A subclass defines the policy (`build_policy`, `decide`), the value of the next observation (`next_value`) and the
    policy's update (`learn_policy`).
    """

    config: CriticConfig
    network: PolicyAndCritics

    def __init__(self, spec: EnvSpec, config: CriticConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        c = config
        self.box = spec.action.kind == "box"
        self._check()
        self.bounds = ActionBounds(spec.action, spec.id, self.device) if self.box else None
        self.taus = midpoints(c.quantiles).to(self.device)
        """The quantiles' fractions, [Z]."""
        with seeded(derive_seed(seed, "weights")):
            self.network = self.build_network().to(self.device)
        self.optimizers = {
            name: FlatOptimizer(self.network[name], c.optimizer, c.adam_eps, c.weight_decay, c.max_grad_norm, c.beta1)
            for name in ("policy", "critics")
        }
        self.targets = {} if c.batch_renorm else {k: self._copy(self.network[k]) for k in self.target_names}
        """Target networks by name; they follow the online ones."""
        self._buffers = {
            name: list(zip(target.module.buffers(), self.network[name].buffers(), strict=True))
            for name, target in self.targets.items()
        }
        self._noise = torch.Generator(self.device).manual_seed(derive_seed(seed, "noise"))
        for module in (self.network, *(target.module for target in self.targets.values())):
            seed_dropout(module, self._noise)
        self.add_normaliser()
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")

    target_names: ClassVar[tuple[str, ...]] = ("critics",)
    """The parts of the network that have a target network."""

    def _check(self) -> None:
        c, kind = self.config, self.spec.action.kind
        if kind not in ("box", "discrete"):
            raise InputError(
                f"{self.name} needs continuous or plain discrete actions, {self.spec.id} has {kind}: try ppo"
            )
        if c.net.core != "none" or (c.critic_net or c.net).core != "none":
            raise InputError(f"{self.name} has no memory: set net.core=none, or use ppo or r2d2")
        for name in ("quantiles", "random_hold"):
            if not self.box and (value := getattr(c, name)) > 1:
                raise InputError(f"{name}={value} is for continuous actions, {self.spec.id} has {kind}: leave it out")

    @staticmethod
    def _copy(module: nn.Module) -> FlatParameters:
        return FlatParameters(copy.deepcopy(module).requires_grad_(False))

    # defined by subclasses

    def build_network(self) -> PolicyAndCritics:
        return PolicyAndCritics({"policy": self.build_policy(), "critics": Critics(self.spec, self.config)})

    @abstractmethod
    def build_policy(self) -> nn.Module: ...

    @abstractmethod
    def decide(self, actor: Actor, obs: dict[str, Tensor], mask: Tensor | None) -> tuple[Tensor, Any]:
        """The actor's action, [N, K] in [-1, 1] or int64 [N], and the policy's output for viewers."""

    @abstractmethod
    def next_policy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the policy does at `batch.next_obs`, and what that adds to the value there, [B].

        An action [B, K] in [-1, 1], or the probabilities [B, A] of discrete actions.
        """

    @abstractmethod
    def policy_loss(self, batch: Batch) -> Tensor:
        """The scalar that the policy's update descends; no gradient reaches the critics."""

    @abstractmethod
    def learn_policy(self, batch: Batch) -> Metrics:
        """One update of the policy, after that of the critics."""

    @cached_property
    def dense(self) -> DenseCritics | None:
        """The networks in NumPy if agent and networks allow it (see `agents.critic_gradients`), else None.

        Made at the first use: until then a subclass may replace the network or the optimizers.
        """
        return DenseCritics.of(self)

    # learning

    def networks(self) -> list[nn.Module]:
        return [self.network, *(target.module for target in self.targets.values())]

    def learn(self, windows: Windows) -> Metrics:
        """One update of the critics, then of the policy if it is due, then of the target networks.

        Raises NonFiniteError if a loss or its gradient is not finite; the part of the network that it belongs to keeps
        its weights.
        """
        c = self.config
        batch = self._batch(windows)
        loss, priority, metrics = self.critic_gradient(batch, windows.weight if c.prioritized else None)
        norm = self.apply("critics", loss, c.lr)
        self.set_priorities(windows.rows, priority)
        metrics = {"loss": loss, "grad_norm": norm, **metrics}
        if (self.updates + 1) % c.policy_delay == 0:
            metrics |= self.learn_policy(batch)
        self.updates += 1
        self.move_targets()
        return metrics

    def critic_gradient(self, batch: Batch, weight: np.ndarray | None) -> tuple[Tensor, Tensor, Metrics]:
        """`critic_loss` with its mean, weighted by `weight` [B] if given, and sets that mean's gradient."""
        if self.dense is not None and self.dense.learns:
            return self.dense.learn_critics(batch, weight)
        loss, priority, metrics = self.critic_loss(batch)
        mean = (loss if weight is None else loss * torch.from_numpy(weight).to(self.device)).mean()
        self.optimizers["critics"].backward(mean)
        return mean.detach(), priority.detach(), metrics

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Tensor, Metrics]:
        """Loss [B], priority [B] and metrics of the critics, summed or averaged over the ensemble.

        Several quantiles are fitted to the pooled target quantiles without the largest ones (Kuznetsov et al. 2020,
        equation 9). Discrete actions bootstrap from the ensemble's mean (Zhou et al. 2022): its minimum would be taken
        of every action, and underestimates.
        """
        with torch.no_grad():
            policy, bonus = self.next_policy(batch)
        q, after = self.values(batch, policy)
        with torch.no_grad():
            following = self.lowest(after) if self.box else (policy * after.mean(1)).sum(-1, keepdim=True)
            target = bootstrap(batch.reward[:, None], batch.discount[:, None], following + bonus[:, None])  # [B, M]
        if not self.box:
            q = take(q, batch.action[:, None].expand(q.shape[:2])).unsqueeze(-1)  # [B, E, 1]
        if self.config.quantiles > 1:
            loss = quantile_huber(q, self.taus, target.unsqueeze(1)).mean(1) / self.config.quantiles
            priority = loss
        else:
            error = (q - target.unsqueeze(1)).squeeze(-1)  # [B, E]
            loss, priority = squared(error).sum(1), error.abs().mean(1)
        mean = q.detach().mean(-1)
        return loss, priority, {"q_mean": mean.mean(), "q_spread": (mean.amax(1) - mean.amin(1)).mean()}

    # for viewers

    def next_update(self) -> tuple[Any, Tensor | None] | None:
        windows = self.sample() if len(self.replay) else None
        if windows is None:
            return None
        weight = torch.from_numpy(windows.weight).to(self.device) if self.config.prioritized else None
        return self._batch(windows), weight

    def objective(self, batch: Any, weight: Tensor | None) -> Tensor:
        """The critics' loss plus the policy's: every weight's gradient is that of the one loss that reaches it.

        The noise is the same at every call, and the same for every agent.
        """
        before = self._noise.get_state()
        self._noise.manual_seed(0)
        loss = self.critic_loss(batch)[0]
        both = (loss if weight is None else loss * weight).mean() + self.policy_loss(batch)
        self._noise.set_state(before)
        return both

    def values(self, batch: Batch, policy: Tensor) -> tuple[Tensor, Tensor]:
        """The critics' outputs at the batch's actions, and the target critics' at the policy's next ones."""
        critics = self.network["critics"]
        if not self.config.batch_renorm:
            with torch.no_grad(), learning(self.targets["critics"].module):
                after = self.targets["critics"].module(batch.next_obs, policy)
            with learning(critics):
                return critics(batch.obs, batch.action), after
        obs = {k: torch.cat([v, batch.next_obs[k]]) for k, v in batch.obs.items()}  # both time steps share statistics
        with learning(critics):
            q, after = critics(obs, torch.cat([batch.action, policy]) if self.box else None).chunk(2)
        return q, after.detach()

    def lowest(self, values: Tensor) -> Tensor:
        """The ensemble's pessimistic value, [B, E, Z] to [B, M]: the minimum, or all but the largest quantiles."""
        c = self.config
        if c.quantiles == 1:
            return values.amin(1)
        return values.flatten(1).sort(-1).values[:, : c.critics * (c.quantiles - c.dropped)]

    def apply(self, part: str, loss: Tensor, lr: float | Ramp) -> Tensor:
        """One optimizer step of a part of the network by the gradient that it has. Returns the gradient's norm."""
        try:
            return self.optimizers[part].apply(loss, value_at(lr, self.step))
        except NonFiniteError as error:
            raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}, {part}: {error}") from None

    def move_targets(self) -> None:
        """Moves every target network towards the online one by `target_tau`; copies the buffers."""
        with torch.no_grad():
            for name, target in self.targets.items():
                target.flat.lerp_(self.optimizers[name].flat, self.config.target_tau)
                for theirs, ours in self._buffers[name]:
                    theirs.copy_(ours)

    def _batch(self, w: Windows) -> Batch:
        batch = super()._batch(w)
        return batch if self.bounds is None else batch._replace(action=self.bounds.inside(batch.action))

    # acting

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        if self.dense is None or actor.mode != "explore" or self.step < self.learning_starts:
            return None
        assert self.bounds is not None
        (leaf,) = self.normalised(as_tensors(obs, self.device)).values()
        return Choice(self.bounds.outside(self.dense.explore(leaf.numpy(), actor.generator)).numpy(), {}, None)

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        if actor.mode == "explore" and self.step < self.learning_starts:
            return Choice(self._random(actor, ts), {}, None)
        mask = None if ts.mask is None else torch.from_numpy(ts.mask).to(self.device)
        action, output = self.decide(actor, self.normalised(obs), mask)
        outside = action if self.bounds is None else self.bounds.outside(action)
        return Choice(outside.detach().cpu().numpy(), {}, output)

    def greedy(self, obs: dict[str, Tensor], mask: Tensor | None, state: Tensor | None) -> Decision:
        action, out = self.decide(_GREEDY, self.normalised(obs), mask)
        action = action if self.bounds is None else self.bounds.outside(action)
        return Decision(action, {**out.dist.numbers(), "value": out.value})

    def _random(self, actor: Actor, ts: TimeStep) -> np.ndarray:
        """Uniform actions of the start [N, K] or [N]; continuous ones are held for `random_hold` steps."""
        spec, count = self.spec.action, actor.num_envs
        if not self.box:
            return epsilon_greedy(np.zeros(count, np.int64), 1.0, spec.nvec[0], ts.mask, actor.rng)
        hold, held = self.config.random_hold, actor.held
        if held is None or actor.age % hold == 0:
            held = actor.rng.uniform(spec.low, spec.high, (count, spec.size)).astype(np.float32)
        if hold > 1:
            actor.held, actor.age = held, actor.age + 1
        return held

    def schedule(self) -> dict[str, float]:
        return {"lr": value_at(self.config.lr, self.step)}

    def choices(self) -> dict[str, Any]:
        return {"precision": "fp32"}

    # saving

    def parts(self) -> dict[str, Any]:
        targets = {name: target.module for name, target in self.targets.items()}
        return {
            "optimizer": self.optimizers,
            "targets": targets,
            "noise": self._noise,
            "stream": self._stream,
            "replay": self.replay,
        }


_FOUND: WeakKeyDictionary[nn.Module, list[nn.Parameter]] = WeakKeyDictionary()


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    """The module's parameters, found once, as in `rl.networks.moving`."""
    if module not in _FOUND:
        _FOUND[module] = list(module.parameters())
    return _FOUND[module]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradient reaches the module's parameters inside; it still flows through them to the module's inputs."""
    parameters = [p for p in _parameters(module) if p.requires_grad]  # others were frozen before, and stay so
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad = True
