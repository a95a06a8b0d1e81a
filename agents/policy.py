"""The base of the policy learners: rollouts of the shared replay's newest rows, advantages, and the update.

A sibling writes `loss(batch)`; which rows count, averaging, backward, clipping and the optimizer step happen here.
Rows that start no transition carry no weight in any loss or statistic.

What `act` said of row t (action, log-probability, value) is stored with row t+1, the one it led to; the recurrent
state before row t with row t itself. An update reads the newest T+1 rows: T of them were decided, and the newest one,
of which nothing has been said yet, gives the value to bootstrap from. It is row 0 of the next update.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import ActorCritic, Policy, _has_convolutions
from agents.base import Actor, Agent, Choice, Metrics, as_tensors, unchanged
from agents.numpy_gradients import DensePolicy, Said, Slopes
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import PolicyBatch, Rollout, _each, average
from rl import returns
from rl.columns import predict_bytes
from rl.device import fast_bf16, restore_torch_generator
from rl.errors import NonFiniteError
from rl.interface import EnvSpec, Obs, TimeStep
from rl.networks import seeded
from rl.normalise import RunningMoments
from rl.optim import FlatOptimizer
from rl.replay import ColumnSpec, Replay
from rl.schedules import Ramp, value_at
from rl.seeding import derive_seed, generator


class PolicyLoss(NamedTuple):
    """What a sibling's `loss` returns."""

    loss: Tensor  # [B] or [T, B]; of `gradient` their mean, a scalar
    metrics: Metrics  # [B] or [T, B], detached; the base averages them over the valid rows of all minibatches


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
        wants = config.precision == "bf16" or (config.precision == "auto" and _has_convolutions(self.network))
        self.network.bf16 = wants and (config.precision == "bf16" or fast_bf16(self.device))
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self.ended = 0
        """Episodes that ended since the last update, as the `first` row after each tells."""
        self.returns = RunningMoments(()).to(self.device)
        """Moments of the discounted return; only their deviation is used."""
        self._running = torch.zeros(num_envs, device=self.device)  # the discounted return so far
        self._shuffle = torch.Generator().manual_seed(derive_seed(seed, "minibatches"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._begun = 0  # time of the first row that no update has used
        self._replay: Replay | None = None

    @cached_property
    def dense(self) -> DensePolicy | None:
        """The network by NumPy, where it is small and plain enough.

        Made at the first use: until then a subclass may put another network or optimizer in place.
        """
        return DensePolicy.of(self.network)

    # what a sibling says

    @abstractmethod
    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        """Loss and metrics of each row; rows that are not valid are left out by the base."""

    def slopes(self, batch: PolicyBatch, said: Said) -> Slopes | None:
        """`loss` and its derivatives by NumPy; None where only `loss` is written."""
        return None

    def gradient(self, batch: PolicyBatch) -> PolicyLoss:
        """Sets the gradient of the mean loss over the batch's valid rows; that mean, detached, as loss."""
        if self.dense is not None and self.dense.learns and batch.mask is None:  # the same numbers in half of the time
            action = batch.action.numpy()
            said = self.dense.forward(batch.obs, action)
            slopes = self.slopes(batch, said)
            if slopes is not None:
                cost = value_at(self.config.entropy_cost, self.step)
                self.dense.backward(said, action, slopes, cost)
                loss = torch.from_numpy(slopes.loss - np.float32(cost) * said.entropy).mean()
                return PolicyLoss(loss, {name: torch.from_numpy(x) for name, x in slopes.metrics.items()})
        out = self.loss(batch)
        loss = average(out.loss, batch.valid)
        self.optimizer.backward(loss)
        return out._replace(loss=loss.detach())

    def advantages(self, reward: Tensor, discount: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and the value's targets, [T, N], of rows [T+1, N] as `rl.returns.gae` reads them."""
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
        """Time of the next rollout's first row, asked after a rollout was read: by default the newest row."""
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
        # after the update, which so used the numbers that acting did
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
            last = self._said({k: v[-1] for k, v in obs.items()}, state[-1], t["first"][-1], None).value
        value = torch.cat([t["value"][1:], last.unsqueeze(0)])  # [T+1, N]: what was said of rows 0 .. T
        reward, discount, ended = t["reward"][1:], t["discount"][1:], t["first"][1:]
        seen = torch.cat([t["reward"][:1], self.seen(reward, discount, ended)])
        advantage, target = self.advantages(seen, t["discount"], t["first"], value)
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

    def seen(self, reward: Tensor, discount: Tensor, ended: Tensor) -> Tensor:
        """Rewards [T, N] as the learner sees them: clipped, then divided by the deviation of the discounted return.

        The very first rollout is divided by its own, so that the value need not unlearn another scale.
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
        """The running return sum_k gamma^k r_{t-k} after each transition, [T, N], and what the next row starts with.

        It starts again after a discount of 0 and with each episode.
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

        Raises NonFiniteError, with the weights as they were before that update, where a loss is not finite.
        """
        lr = value_at(self.config.lr, self.step)
        names: list[str] = []
        losses, norms, said = list[Tensor](), list[Tensor](), list[Tensor]()
        drawn = ready = None
        for batch in self.batches(rollout):
            if batch is not drawn:  # all rows at once come again with each pass
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
            said.append(average(torch.stack([v.detach() for v in out.metrics.values()]), batch.valid))
        rows = rollout.rows
        spread = rows.target[rows.valid].var(unbiased=False)
        unexplained = (rows.target - rows.value)[rows.valid].var(unbiased=False)
        return {
            "loss": torch.stack(losses).mean(),
            "grad_norm": torch.stack(norms).mean(),
            **dict(zip(names, torch.stack(said).mean(0), strict=True)),
            "explained_variance": torch.where(spread > 1e-8, 1 - unexplained / spread, 0.0),
        }

    def items(self, rollout: Rollout) -> Tensor:
        """What minibatches are drawn from, int64: transitions t * N + env; with a memory environments that have one."""
        valid = rollout.rows.valid
        return (valid.any(0) if self.recurrent else valid.flatten()).nonzero().squeeze(1)

    def select(self, rollout: Rollout, index: Tensor | None = None) -> PolicyBatch:
        """The `items` of a rollout named by `index`, int64 [B]; all of them where it is None."""
        rows = rollout.rows
        if self.recurrent:
            index = self.items(rollout) if index is None else index
            return _each(rows, lambda x: x[:, index])._replace(state=rows.state[index])
        flat = _each(rows, lambda x: x.flatten(0, 1))._replace(state=rows.state[:0])
        if index is None:
            index = self.items(rollout)
            if len(index) == rows.valid.numel():
                return flat
        return _each(flat, lambda x: x[index])

    def evaluate_actions(self, batch: PolicyBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(log-probability, entropy, value) of the batch's rows by the network as it is now."""
        out: Policy = self.network(batch.obs, batch.state, batch.first if self.recurrent else None, batch.mask)
        return out.dist.log_prob(batch.action), out.dist.entropy(), out.value

    def _standardised(self, batch: PolicyBatch) -> PolicyBatch:
        if not self.config.normalize_advantage:
            return batch
        valid = batch.advantage[batch.valid] if self.recurrent else batch.advantage
        if len(valid) < 2:  # one row has no spread
            return batch
        advantage = (batch.advantage - valid.mean()) / (valid.std() + 1e-8)
        return batch._replace(advantage=advantage)

    # acting

    def glance(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        if self.dense is None or actor.mode != "explore" or ts.mask is not None:
            return None
        ours = unchanged(self, PolicyAgent, "look", "_said")
        return self.dense.draw(as_tensors(obs, self.device), actor.generator) if ours else None

    def look(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        mask = None if ts.mask is None else torch.from_numpy(ts.mask).to(self.device)
        first = torch.tensor(ts.first).to(self.device) if self.recurrent else None
        out = self._said(obs, actor.memory, first, mask)
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

    def _said(self, obs: dict[str, Tensor], state: Tensor, first: Tensor | None, mask: Tensor | None) -> Policy:
        """What the network says of one row of every environment."""
        if self.dense is not None and not torch.is_grad_enabled():  # a watcher may ask for gradients
            return self.dense(obs, state, mask)
        return self.network(obs, state, first, mask)  # type: ignore[no-any-return]

    # for those who look on

    def schedule(self) -> dict[str, float]:
        ramps = {k: v.at(self.step) for k, v in vars(self.config).items() if isinstance(v, Ramp)}
        return {"lr": value_at(self.config.lr, self.step), **ramps}

    def choices(self) -> dict[str, Any]:
        critic = "shared" if self.network.critic_torso is None else "separate"
        return {"precision": "bf16" if self.network.bf16 else "fp32", "critic": critic}

    def predicted_bytes(self) -> int:
        slots = self.rows_kept + self.stack - 1
        leaves = self.spec.obs.values()
        obs = sum(predict_bytes(x.shape, x.dtype, slots, self.num_envs, self.config.store) for x in leaves)
        mask = self.spec.action.logits if self.spec.masked else 0
        return obs + slots * self.num_envs * (self.spec.action.size * 16 + mask + 4 * self.state_size + 17)

    # saving

    def agent_state(self) -> dict[str, Any]:
        return {"step": self.step, "updates": self.updates, "network": dict(self.network.state_dict())}

    def load_agent_state(self, state: dict[str, Any]) -> None:
        self.step, self.updates = state["step"], state["updates"]
        self.network.load_state_dict(state["network"])

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
