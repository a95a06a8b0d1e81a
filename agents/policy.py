"""The base of the policy learners: rollouts of the replay's newest rows, advantages, and the update.

A subclass defines `loss(batch)`. Selecting rows, averaging, backward, clipping and the optimizer step happen here. Rows
that start no transition have no weight in any loss or statistic.

The output of `act` for row t (action, log-probability, value) is stored with row t+1, to which the action led. The
recurrent state before row t is stored with row t itself. An update reads the newest T+1 rows: T of them have an action,
and the newest one, which has none yet, gives the value to bootstrap from. It is row 0 of the next update.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import ActorCritic, Policy, has_convolutions
from agents.base import Actor, Agent, Choice, Metrics, as_tensors
from agents.numpy_gradients import DensePolicy
from agents.numpy_gradients import gradient as numpy_gradient
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import PolicyBatch, Rollout, average, each_tensor
from agents.scale import box_warning
from rl import returns
from rl.device import fast_bf16, restore_torch_generator
from rl.errors import NonFiniteError
from rl.interface import EnvSpec, Obs, TimeStep
from rl.networks import seeded
from rl.normalise import RunningMoments
from rl.optim import FlatOptimizer
from rl.replay import ColumnSpec
from rl.schedules import Ramp, value_at
from rl.seeding import derive_seed


class PolicyLoss(NamedTuple):
    """The result of `loss`."""

    loss: Tensor  # [B] or [T, B]; after `gradient` their mean, a scalar
    metrics: Metrics  # [B] or [T, B], detached; averaged over the valid rows of all minibatches


class PolicyAgent(Agent):
    """Learns a policy and its value from the newest rows that it played."""

    config: PolicyLearnerConfig
    network: ActorCritic

    def __init__(
        self, spec: EnvSpec, config: PolicyLearnerConfig, *, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        with seeded(derive_seed(seed, "weights")):
            self.network = ActorCritic(spec, config).to(self.device)
        wants = config.precision == "bf16" or (config.precision == "auto" and has_convolutions(self.network))
        self.network.bf16 = wants and (config.precision == "bf16" or fast_bf16(self.device))
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self.ended = 0
        """Episodes that ended since the last update, counted at the `first` row after each."""
        self.returns = RunningMoments(()).to(self.device)
        """Moments of the discounted return; only the deviation is used."""
        self._running = torch.zeros(num_envs, device=self.device)  # the discounted return so far
        self._shuffle = torch.Generator().manual_seed(derive_seed(seed, "minibatches"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._begun = 0  # time of the first row that no update has used

    @cached_property
    def dense(self) -> DensePolicy | None:
        """The network in NumPy if it is small and plain enough (see `agents.numpy_gradients`), else None.

        Made at the first use: until then a subclass may replace the network or the optimizer.
        """
        return DensePolicy.of(self.network)

    # defined by subclasses

    @abstractmethod
    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        """Loss and metrics of each row; the base leaves out the rows that are not valid."""

    def gradient(self, batch: PolicyBatch) -> PolicyLoss:
        """Sets the gradient of the mean loss over the batch's valid rows; returns that mean, detached, as the loss."""
        found = numpy_gradient(self, batch)
        if found is not None:
            return PolicyLoss(found.loss, found.metrics)
        out = self.loss(batch)
        loss = average(out.loss, batch.valid)
        self.optimizer.backward(loss)
        return out._replace(loss=loss.detach())

    def advantages(self, reward: Tensor, discount: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and value targets, [T, N], of rows [T+1, N] as in `rl.returns.gae`."""
        return returns.gae(reward, discount, first, value, self.config.gamma, self.config.gae_lambda)

    def batches(self, rollout: Rollout) -> Iterator[PolicyBatch]:
        """The minibatches of one update; by default all rows once."""
        yield self.select(rollout)

    def enough(self, out: PolicyLoss, batch: PolicyBatch) -> bool:
        """Whether to stop the passes over this rollout before the step on this minibatch."""
        return False

    @property
    def rows_kept(self) -> int:
        """Rows of each environment that the replay holds."""
        return self.config.rollout + 1

    def due(self) -> bool:
        """Whether the rows since the last update make a rollout."""
        return self.replay.count - 1 - self._begun >= self.config.rollout

    def begin_next(self) -> int:
        """Time of the next rollout's first row, called after a rollout was read: by default the newest row."""
        return self.replay.count - 1

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

    def replay_fields(self) -> dict[str, Any]:
        action = self.spec.action
        columns = [ColumnSpec("raw", action.shape, action.dtype), ColumnSpec("log_prob"), ColumnSpec("value")]
        if self.recurrent:
            columns.append(ColumnSpec("state", (self.state_size,)))
        slots = self.rows_kept + self.stack - 1
        return {"slots": slots, "columns": columns, "stack": self.stack, "store": self.config.store}

    def observe(self, ts: TimeStep) -> None:
        shape = (self.num_envs, *self.spec.action.shape)
        extra = self._stream.extra or {
            "raw": np.zeros(shape, self.spec.action.dtype),
            "log_prob": np.zeros(self.num_envs, np.float32),
            "value": np.zeros(self.num_envs, np.float32),
        }
        if self.recurrent:
            extra = {**extra, "state": self._stream.memory.cpu().numpy()}
        self.reward_scale.observe(self, ts)
        self.replay.append(ts, extra)
        resets = int(np.count_nonzero(ts.first))
        self.step += self.num_envs - resets
        if self.replay.count > 1:
            self.ended += resets

    def act(self, ts: TimeStep) -> np.ndarray:
        return self._stream.act(ts)

    def update(self) -> Metrics | None:
        if not self.due():
            return None
        rollout = self.rollout(self.replay.count - self._begun)
        self._begun, self.ended = self.begin_next(), 0
        metrics = self.learn(rollout) if bool(rollout.rows.valid.any()) else None
        # after the update, so that it used the same statistics as acting did
        if self.network.normaliser is not None:
            frames = {k: v[:, :, -1] if self.stack > 1 else v for k, v in rollout.rows.obs.items()}
            self.network.normaliser.update({k: v[rollout.rows.valid] for k, v in frames.items()})
        if self.config.normalize_return:
            every, self._running = self._discounted(rollout.reward, rollout.discount, rollout.ended)
            self.returns.update(every[~rollout.ended])
        return metrics

    def rollout(self, length: int) -> Rollout:
        """The newest `length` rows with advantages; the newest row itself only bootstraps."""
        rows, extra = self.replay.newest(length)
        obs = as_tensors(rows.obs, self.device)
        columns = {"reward": rows.reward, "discount": rows.discount, "first": rows.first, **extra}
        if rows.mask is not None:
            columns["mask"] = rows.mask
        t = as_tensors(columns, self.device)
        state = t["state"] if self.recurrent else torch.zeros(length, self.num_envs, 0, device=self.device)
        with torch.no_grad():
            last = self._evaluate({k: v[-1] for k, v in obs.items()}, state[-1], t["first"][-1], None).value
        value = torch.cat([t["value"][1:], last.unsqueeze(0)])  # [T+1, N]: values of rows 0 .. T
        reward, discount, ended = t["reward"][1:], t["discount"][1:], t["first"][1:]
        rewards = torch.cat([t["reward"][:1], self.learner_rewards(reward, discount, ended)])
        advantage, target = self.advantages(rewards, t["discount"], t["first"], value)
        return Rollout(
            rows=PolicyBatch(
                obs={k: v[:-1] for k, v in obs.items()},
                mask=t["mask"][:-1] if "mask" in t else None,
                first=t["first"][:-1],
                state=state[0],
                action=t["raw"][1:],
                log_prob=t["log_prob"][1:],
                value=value[:-1],
                advantage=advantage,
                target=target,
                valid=~ended,
            ),
            reward=reward,
            discount=discount,
            ended=ended,
        )

    def learner_rewards(self, reward: Tensor, discount: Tensor, ended: Tensor) -> Tensor:
        """The rewards [T, N] that are learned from: clipped, then divided by the deviation of the discounted return.

        The first rollout is divided by its own deviation, so that the value does not have to change its scale later.
        """
        if self.config.normalize_return:
            variance = self.returns.var
            if self.returns.count == 0:
                every = self._discounted(reward, discount, ended)[0][~ended]
                variance = every.double().var(unbiased=False) if len(every) > 1 else variance
            return (self._clipped(reward) * (variance + 1e-8).rsqrt().float()).clamp(-10.0, 10.0)
        return self._clipped(reward)

    def _clipped(self, reward: Tensor) -> Tensor:
        limit = self.config.reward_clip
        return reward if limit is None else reward.clamp(-limit, limit)

    def _discounted(self, reward: Tensor, discount: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """The running return sum_k gamma^k r_{t-k} after each transition, [T, N], and its start at the next row, [N].

        It restarts after a discount of 0 and with each episode.
        """
        reward = torch.where(ended, 0.0, self._clipped(reward))
        decay = self.config.gamma * torch.where(ended, 0.0, discount)
        every, carried = torch.empty_like(reward), self._running
        for t in range(len(reward)):
            every[t] = carried + reward[t]
            carried = decay[t] * every[t]
        return every, carried

    def learn(self, rollout: Rollout) -> Metrics:
        """All gradient updates on one rollout. Returns the metrics averaged over them.

        Raises NonFiniteError, with the weights from before that update, if a loss is not finite.
        """
        lr = value_at(self.config.lr, self.step)
        names: list[str] = []
        losses, norms, metrics = list[Tensor](), list[Tensor](), list[Tensor]()
        drawn = ready = None
        for batch in self.batches(rollout):
            if batch is not drawn:  # PPO may yield the same batch in each pass
                drawn, ready = batch, self._standardised(batch)
            assert ready is not None
            out = self.gradient(ready)
            if losses and self.enough(out, batch):
                break
            try:
                norm = self.optimizer.apply(out.loss, lr)
            except NonFiniteError as error:
                wrong = [k for k, v in out.metrics.items() if not bool(torch.isfinite(average(v, batch.valid)))]
                where = f", update {self.updates + 1}, step {self.step}"
                source = f" ({', '.join(wrong)})" if wrong else ""
                raise NonFiniteError(f"{self.name}{where}: {error}{source}") from None
            self.updates += 1
            names = list(out.metrics)
            losses.append(out.loss)
            norms.append(norm)
            metrics.append(average(torch.stack([v.detach() for v in out.metrics.values()]), batch.valid))
        rows = rollout.rows
        spread = rows.target[rows.valid].var(unbiased=False)
        unexplained = (rows.target - rows.value)[rows.valid].var(unbiased=False)
        return {
            "loss": torch.stack(losses).mean(),
            "grad_norm": torch.stack(norms).mean(),
            **dict(zip(names, torch.stack(metrics).mean(0), strict=True)),
            "explained_variance": torch.where(spread > 1e-8, 1 - unexplained / spread, 0.0),
        }

    def items(self, rollout: Rollout) -> Tensor:
        """The items that minibatches are made of, int64: transitions t * N + env, or environments if recurrent."""
        valid = rollout.rows.valid
        return (valid.any(0) if self.recurrent else valid.flatten()).nonzero().squeeze(1)

    def select(self, rollout: Rollout, index: Tensor | None = None) -> PolicyBatch:
        """The batch of the items `index`, int64 [B], of a rollout; None selects all of them."""
        rows = rollout.rows
        if self.recurrent:
            index = self.items(rollout) if index is None else index
            return each_tensor(rows, lambda x: x[:, index])._replace(state=rows.state[index])
        flat = each_tensor(rows, lambda x: x.flatten(0, 1))._replace(state=rows.state[:0])
        if index is None:
            index = self.items(rollout)
            if len(index) == rows.valid.numel():
                return flat
        return each_tensor(flat, lambda x: x[index])

    def evaluate_actions(self, batch: PolicyBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(log-probability, entropy, value) of the batch's rows under the present network."""
        out: Policy = self.network(batch.obs, batch.state, batch.first if self.recurrent else None, batch.mask)
        return out.dist.log_prob(batch.action), out.dist.entropy(), out.value

    def _standardised(self, batch: PolicyBatch) -> PolicyBatch:
        if not self.config.normalize_advantage:
            return batch
        valid = batch.advantage[batch.valid] if self.recurrent else batch.advantage
        if len(valid) < 2:  # one row has no deviation
            return batch
        advantage = (batch.advantage - valid.mean()) / (valid.std() + 1e-8)
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

    def learner_state(self) -> dict[str, Any]:
        return {
            "begun": self._begun,
            "ended": self.ended,
            "optimizer": self.optimizer.state_dict(),
            "returns": dict(self.returns.state_dict()),
            "running": self._running.clone(),
            "shuffle": self._shuffle.get_state(),
            "stream": self._stream.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_learner_state(self, state: dict[str, Any]) -> None:
        self._begun, self.ended = state["begun"], state["ended"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.returns.load_state_dict(state["returns"])
        self._running = state["running"].to(self.device)
        restore_torch_generator(self._shuffle, state["shuffle"])
        self._stream.load_state_dict(state["stream"])
        self.replay.load_state_dict(state["replay"])


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
