"""The base of the policy learners: rollouts of the shared replay's newest rows, advantages, and the update.

A sibling writes `loss(batch)`; which rows count, averaging, backward, clipping and the optimizer step happen here.
Rows that start no transition carry no weight in any loss or statistic.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Agent, Choice, Metrics, as_tensors
from rl import returns
from rl.device import fast_bf16
from rl.distributions import Distribution, PolicyConfig, policy_head
from rl.errors import InputError, NonFiniteError
from rl.frames import predict_bytes
from rl.networks import NetConfig, build_torso, orthogonal_, seeded
from rl.normalise import ObservationNormaliser, RunningMoments
from rl.optim import FlatOptimizer, OptimizerName
from rl.replay import ColumnSpec, Replay
from rl.schedules import Ramp, value_at
from rl.seeding import derive_seed, generator
from rl.types import EnvSpec, TimeStep


class Policy(NamedTuple):
    """What an actor-critic network says."""

    dist: Distribution  # over actions, [...]
    value: Tensor  # [...]
    state: Tensor  # [B, state_size], after the last row


class Rollout(NamedTuple):
    """The newest T+1 rows of N environments as tensors; the first T of them with what was decided there."""

    obs: dict[str, Tensor]  # [T, N, (S,) ...]
    mask: Tensor | None  # bool [T, N, A]
    first: Tensor  # bool [T, N]
    state: Tensor  # [N, state_size], before row 0
    action: Tensor  # [T, N, ...]: the raw action, before any squash
    log_prob: Tensor  # [T, N], as acted
    value: Tensor  # [T, N], as acted
    advantage: Tensor  # [T, N]
    target: Tensor  # [T, N]: the value's target
    valid: Tensor  # bool [T, N]: the row starts a transition


class PolicyBatch(NamedTuple):
    """What a loss eats: B transitions, or sequences of T rows of B environments where the policy has a memory."""

    obs: dict[str, Tensor]
    mask: Tensor | None
    first: Tensor
    state: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    advantage: Tensor
    target: Tensor
    valid: Tensor


class PolicyLoss(NamedTuple):
    """What a sibling's `loss` returns."""

    loss: Tensor  # [B] or [T, B]
    metrics: Metrics


@dataclass(frozen=True)
class PolicyLearnerConfig:
    """Fields that every policy learner honours, or refuses at construction."""

    net: NetConfig = field(default_factory=lambda: NetConfig(activation="tanh", orthogonal=True))
    """The shared network: encoder, layers, memory."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """How features become actions."""
    critic: Literal["auto", "shared", "separate"] = "auto"
    """Whether policy and value share one network; auto shares convolutions and separates the rest."""
    stack: int = 1
    """Frames that make one observation."""
    gamma: float = 0.99
    """Discount of one step."""
    gae_lambda: float = 0.95
    """Lambda of the advantage estimate; 1 is the whole return."""
    rollout: int = 128
    """Rows of each environment in one update."""
    lr: float | Ramp = 3e-4
    """Learning rate, or its schedule over counted steps."""
    optimizer: OptimizerName = "adam"
    """Optimizer of the network."""
    adam_eps: float = 1e-5
    """Epsilon of the optimizer's denominator."""
    max_grad_norm: float | None = 0.5
    """Global norm the gradient is clipped to, or none."""
    entropy_cost: float | Ramp = 0.0
    """What the policy is paid for its entropy."""
    value_cost: float = 0.5
    """Weight of the value's squared error."""
    normalize_advantage: bool = True
    """Standardise advantages within each minibatch."""
    normalize_obs: bool = False
    """Standardise float observations by running moments, which are part of the agent."""
    normalize_return: bool = False
    """Divide rewards by the running deviation of the discounted return."""
    reward_clip: float | None = None
    """The learner sees rewards clipped to plus and minus this; scores stay raw."""
    noise_every: int = 4
    """Steps for which gSDE's noise is held."""
    store: Literal["auto", "raw", "compressed"] = "auto"
    """How the replay keeps image frames."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto takes bf16 where it is faster (convolutions)."""

    def __post_init__(self) -> None:
        for name in ("stack", "rollout", "noise_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("reward_clip", "max_grad_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0 or none, got {getattr(self, name)}")
        for name in ("lr", "entropy_cost"):
            value = getattr(self, name)
            ends = (value.start, value.end) if isinstance(value, Ramp) else (value, value)
            if not (min(ends) >= 0 and max(ends) < float("inf")) or (name == "lr" and max(ends) == 0):
                raise InputError(f"{name} must be {'above 0' if name == 'lr' else '0 or more'} and finite, got {value}")
        if not self.value_cost >= 0:
            raise InputError(f"value_cost must be 0 or more, got {self.value_cost}")
        if not self.adam_eps > 0:
            raise InputError(f"adam_eps must be above 0, got {self.adam_eps}")


class ActorCritic(nn.Module):
    """A policy and a value on one torso or two; two memories lie side by side in one state."""

    def __init__(self, spec: EnvSpec, config: PolicyLearnerConfig) -> None:
        super().__init__()
        floats = {k: x.shape for k, x in spec.obs.items() if x.kind == "vector"}
        self.normaliser = ObservationNormaliser(floats) if config.normalize_obs else None
        self.torso = build_torso(spec, config.net, config.stack)
        shared = config.critic == "shared" or (config.critic == "auto" and _has_convolutions(self.torso))
        self.critic_torso = None if shared else build_torso(spec, config.net, config.stack)
        self.policy = policy_head(spec.action, self.torso.out_features, config.policy)
        self.value = nn.Linear(self.torso.out_features, 1)
        if config.net.orthogonal:
            orthogonal_(self.value, 1.0)
        self.state_size = self.torso.state_size * (1 if shared else 2)

    def forward(
        self, obs: dict[str, Tensor], state: Tensor, first: Tensor | None = None, mask: Tensor | None = None
    ) -> Policy:
        """Rows with any leading dimensions; with a memory they are [T, B] and `first` restarts it."""
        if self.normaliser is not None:
            obs = self.normaliser(obs)
        if self.critic_torso is None:
            features, state = self.torso(obs, state, first)
            return Policy(self.policy(features, mask), self.value(features).squeeze(-1), state)
        size = self.torso.state_size
        features, after = self.torso(obs, state[:, :size], first)
        critic, critic_after = self.critic_torso(obs, state[:, size:], first)
        value = self.value(critic).squeeze(-1)
        return Policy(self.policy(features, mask), value, torch.cat([after, critic_after], -1))


def _has_convolutions(module: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) for m in module.modules())


class PolicyAgent(Agent):
    """Learns a policy and its value from its own newest rows."""

    config: PolicyLearnerConfig
    network: ActorCritic

    def __init__(
        self, spec: EnvSpec, config: PolicyLearnerConfig, *, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        with seeded(derive_seed(seed, "weights")):
            self.network = ActorCritic(spec, config).to(self.device)
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self.returns = RunningMoments(()).to(self.device)
        """Moments of the discounted return; only their deviation is used."""
        self._running = torch.zeros(num_envs, device=self.device)  # the discounted return so far
        self._shuffle = torch.Generator().manual_seed(derive_seed(seed, "minibatches"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._begun = 0  # time of the first row that no update has used
        self._replay: Replay | None = None
        wants = config.precision == "bf16" or (config.precision == "auto" and _has_convolutions(self.network))
        self._autocast = wants and (config.precision == "bf16" or fast_bf16(self.device))

    # what a sibling says

    @abstractmethod
    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        """Per-row loss and metrics; rows that are not valid are left out by the base."""

    def batches(self, rollout: Rollout) -> Iterator[PolicyBatch]:
        """The minibatches of one update; by default all rows once."""
        yield self.select(rollout, None)

    @property
    def rows_kept(self) -> int:
        """Rows of each environment that the replay holds."""
        return self.config.rollout + 1

    def due(self) -> bool:
        """Whether the rows since the last update make a rollout."""
        return self.replay.count - 1 - self._begun >= self.config.rollout

    # the training stream

    @property
    def stack(self) -> int:
        return self.config.stack

    @property
    def state_size(self) -> int:
        return self.network.state_size

    @property
    def recurrent(self) -> bool:
        return self.network.state_size > 0

    @property
    def replay(self) -> Replay:
        if self._replay is None:
            action = self.spec.action
            columns = [
                ColumnSpec("raw", action.shape, action.dtype),
                ColumnSpec("log_prob"),
                ColumnSpec("value"),
            ]
            if self.recurrent:
                columns.append(ColumnSpec("state", (self.state_size,)))
            self._replay = Replay(
                self.spec,
                self.num_envs,
                self.rows_kept + self.stack - 1,
                generator(self.seed, "replay"),
                columns=columns,
                stack=self.stack,
                store=self.config.store,
            )
        return self._replay

    def observe(self, ts: TimeStep) -> None:
        shape = (self.num_envs, *self.spec.action.shape)
        extra = self._stream.extra or {
            "raw": np.zeros(shape, self.spec.action.dtype),
            "log_prob": np.zeros(self.num_envs, np.float32),
            "value": np.zeros(self.num_envs, np.float32),
        }
        if self.recurrent:
            extra = {**extra, "state": self._stream.memory.cpu().numpy()}
        self.replay.append(ts, extra)
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def act(self, ts: TimeStep) -> np.ndarray:
        return self._stream.act(ts)

    def update(self) -> Metrics | None:
        if not self.due():
            return None
        rollout = self.rollout(self.replay.count - self._begun)
        self._begun = self.replay.count - 1
        if not rollout.valid.any():
            return None
        metrics = self.learn(rollout)
        if self.network.normaliser is not None:  # after the update: it used the numbers that acting did
            frames = {k: v[:, :, -1] if self.stack > 1 else v for k, v in rollout.obs.items()}
            self.network.normaliser.update({k: v[rollout.valid] for k, v in frames.items()})
        if self.config.normalize_return:
            self._take_in_returns(rollout)
        return metrics

    def rollout(self, length: int) -> Rollout:
        """The newest `length` rows with advantages; the newest row itself only bootstraps."""
        c = self.config
        rows, extra = self.replay.newest(length)
        obs = as_tensors(rows.obs, self.device)
        names = {"reward": rows.reward, "discount": rows.discount, "first": rows.first}
        t = as_tensors({**names, **{k: extra[k] for k in ("raw", "log_prob", "value")}}, self.device)
        mask = None if rows.mask is None else torch.from_numpy(rows.mask).to(self.device)
        states = as_tensors({"state": extra["state"]}, self.device)["state"] if self.recurrent else None
        nothing = torch.zeros(self.num_envs, 0, device=self.device)
        newest = {k: v[-1:] if self.recurrent else v[-1] for k, v in obs.items()}
        with torch.inference_mode():
            last = self.network(
                newest, nothing if states is None else states[-1], t["first"][-1:] if self.recurrent else None
            ).value.reshape(-1)
        value = torch.cat([t["value"][1:], last.clone().unsqueeze(0)])  # [T+1, N]: what acting said of rows 0 .. T
        self._reward, self._discount, self._first = t["reward"], t["discount"], t["first"]
        advantage, target = returns.gae(self.seen(t["reward"]), t["discount"], t["first"], value, c.gamma, c.gae_lambda)
        return Rollout(
            obs={k: v[:-1] for k, v in obs.items()},
            mask=None if mask is None else mask[:-1],
            first=t["first"][:-1],
            state=nothing if states is None else states[0],
            action=t["raw"][1:],
            log_prob=t["log_prob"][1:],
            value=value[:-1],
            advantage=advantage,
            target=target,
            valid=~t["first"][1:],
        )

    def seen(self, reward: Tensor) -> Tensor:
        """Rewards as the learner sees them: clipped, then divided by the return's deviation."""
        c = self.config
        if c.reward_clip is not None:
            reward = reward.clamp(-c.reward_clip, c.reward_clip)
        if c.normalize_return and self.returns.count > 0:
            reward = (reward * (self.returns.var + 1e-8).rsqrt().float()).clamp(-10.0, 10.0)
        return reward

    def learn(self, rollout: Rollout) -> Metrics:
        """All gradient updates on one rollout. Returns the metrics averaged over them.

        Raises NonFiniteError, with the weights as they were before that update, where a loss is not finite.
        """
        lr = value_at(self.config.lr, self.step)
        sums: dict[str, Tensor] = {}
        count = 0
        for batch in self.batches(rollout):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
                out = self.loss(self._standardised(batch))
            loss = out.loss.float()
            mean = loss.mean() if loss.dim() == 1 else torch.where(batch.valid, loss, 0.0).sum() / batch.valid.sum()
            try:
                norm = self.optimizer.step(mean, lr)
            except NonFiniteError as error:
                raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}: {error}") from None
            self.updates += 1
            count += 1
            for name, value in {"loss": mean.detach(), "grad_norm": norm, **out.metrics}.items():
                sums[name] = sums[name] + value if name in sums else value
            if self.enough(out.metrics):
                break
        residual = (rollout.target - rollout.value)[rollout.valid]
        spread = rollout.target[rollout.valid].var(unbiased=False)
        metrics = {name: value / count for name, value in sums.items()}
        metrics["explained_variance"] = 1 - residual.var(unbiased=False) / (spread + 1e-8)
        return metrics

    def enough(self, metrics: Metrics) -> bool:
        """Whether to stop the passes over this rollout early."""
        return False

    def select(self, rollout: Rollout, index: Tensor | None) -> PolicyBatch:
        """Rows of a rollout: without a memory valid transitions by flat index (None: all), with one whole environments.

        Args:
            index: int64 [B], into the valid transitions, or into the environments where the policy has a memory.
        """
        if self.recurrent:
            if index is None:
                return PolicyBatch(*rollout)
            picked = rollout._replace(obs={k: v[:, index] for k, v in rollout.obs.items()}, state=rollout.state[index])
            rest = {
                k: None if v is None else v[:, index] for k, v in rollout._asdict().items() if k not in ("obs", "state")
            }
            return PolicyBatch(**{**picked._asdict(), **rest})
        flat = rollout.valid.reshape(-1).nonzero().squeeze(1)
        flat = flat if index is None else flat[index]

        def take(x: Tensor) -> Tensor:
            return x.reshape(-1, *x.shape[2:])[flat]

        parts = {k: None if v is None else take(v) for k, v in rollout._asdict().items() if k not in ("obs", "state")}
        return PolicyBatch(obs={k: take(v) for k, v in rollout.obs.items()}, state=rollout.state[:0], **parts)

    def evaluate_actions(self, batch: PolicyBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(log-probability, entropy, value) of the batch's rows by the network as it is now."""
        first = batch.first if self.recurrent else None
        out: Policy = self.network(batch.obs, batch.state, first, batch.mask)
        return out.dist.log_prob(batch.action), out.dist.entropy(), out.value

    def _standardised(self, batch: PolicyBatch) -> PolicyBatch:
        if not self.config.normalize_advantage:
            return batch
        valid = batch.advantage[batch.valid]
        if len(valid) < 2:  # one row has no spread
            return batch
        advantage = (batch.advantage - valid.mean()) / (valid.std() + 1e-8)
        return batch._replace(advantage=advantage)

    def _take_in_returns(self, rollout: Rollout) -> None:
        seen = []
        clip = self.config.reward_clip
        for reward, discount, first in zip(self._reward[1:], self._discount[1:], self._first[1:], strict=True):
            reward = reward if clip is None else reward.clamp(-clip, clip)
            self._running = torch.where(first, 0.0, self.config.gamma * self._running + reward)
            seen.append(self._running[~first])
            self._running = torch.where(discount > 0, self._running, 0.0)
        self.returns.update(torch.cat(seen))

    # acting

    def look(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        mask = None if ts.mask is None else torch.from_numpy(ts.mask).to(self.device)
        if self.recurrent:
            first = torch.tensor(ts.first).to(self.device).unsqueeze(0)
            rows = {k: v.unsqueeze(0) for k, v in obs.items()}
            out: Policy = self.network(rows, actor.memory, first, None if mask is None else mask.unsqueeze(0))
            actor.memory = out.state
        else:
            out = self.network(obs, actor.memory, None, mask)
        if actor.mode == "greedy":
            raw = out.dist.mode()
        else:
            if actor.mode == "explore" and self.config.policy.deviation == "gsde":
                if actor.noise is None or actor.age % self.config.noise_every == 0:
                    actor.noise = self.network.policy.draw_noise(actor.num_envs, actor.generator)
                actor.age += 1
            raw = out.dist.sample(actor.generator, actor.noise)
        log_prob, value, action = out.dist.log_prob(raw), out.value, out.dist.action(raw)
        if self.recurrent:
            raw, log_prob, value, action = raw[0], log_prob[0], value[0], action[0]
        extra = {"raw": raw, "log_prob": log_prob, "value": value}
        arrays = {k: v.cpu().numpy() for k, v in extra.items()}
        return Choice(action.cpu().numpy(), arrays, out)

    # for those who look on

    def schedule(self) -> dict[str, float]:
        return {"lr": value_at(self.config.lr, self.step)}

    def choices(self) -> dict[str, Any]:
        critic = "shared" if self.network.critic_torso is None else "separate"
        return {"precision": "bf16" if self._autocast else "fp32", "critic": critic}

    def predicted_bytes(self) -> int:
        slots = self.rows_kept + self.stack - 1
        leaves = self.spec.obs.values()
        obs = sum(predict_bytes(x.shape, x.dtype, slots, self.num_envs, self.config.store) for x in leaves)
        return obs + slots * self.num_envs * (self.spec.action.size * 16 + 4 * self.state_size + 40)

    # saving

    def agent_state(self) -> dict[str, Any]:
        return {"step": self.step, "updates": self.updates, "network": dict(self.network.state_dict())}

    def load_agent_state(self, state: dict[str, Any]) -> None:
        self.step, self.updates = state["step"], state["updates"]
        self.network.load_state_dict(state["network"])

    def learner_state(self) -> dict[str, Any]:
        return {
            "begun": self._begun,
            "optimizer": self.optimizer.state_dict(),
            "returns": dict(self.returns.state_dict()),
            "running": self._running.clone(),
            "shuffle": self._shuffle.get_state(),
            "stream": self._stream.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_learner_state(self, state: dict[str, Any]) -> None:
        self._begun = state["begun"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.returns.load_state_dict(state["returns"])
        self._running = state["running"].to(self.device)
        self._shuffle.set_state(state["shuffle"])
        self._stream.load_state_dict(state["stream"])
        self.replay.load_state_dict(state["replay"])
