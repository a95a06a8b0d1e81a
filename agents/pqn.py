"""PQN (Gallici et al. 2024): Q(lambda) on the newest rows of many environments, without replay or target network.

LayerNorm keeps it stable. With a recurrent core it learns whole rollouts from their stored state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Choice, Metrics, as_tensors
from agents.value_player import Q, ValueNetwork, ValuePlayer
from rl.device import fast_bf16, restore_torch_generator
from rl.errors import InputError, NonFiniteError
from rl.fields import at_least, check_ranges, fraction, positive, positive_or_none
from rl.interface import EnvSpec, TimeStep
from rl.losses import forbid, squared, take
from rl.networks import NetConfig, ValueHead, build_torso, seeded
from rl.optim import FlatOptimizer, OptimizerName
from rl.replay import ColumnSpec
from rl.returns import lambda_returns
from rl.schedules import Ramp, value_at
from rl.seeding import derive_seed


@dataclass(frozen=True)
class PQNConfig:
    """PQN's fields."""

    net: NetConfig = field(default_factory=lambda: NetConfig(layer_norm=True))
    """The shared network: encoder, layers, LayerNorm, recurrent core."""
    stack: int = at_least(1, 1)
    """Frames that make one observation."""
    gamma: float = fraction(0.99)
    """Discount of one step."""
    q_lambda: float = fraction(0.65)
    """Lambda of the return: 0 is one step, 1 the whole rollout."""
    rollout: int = at_least(1, 32)
    """Rows of each environment in one update."""
    epochs: int = at_least(1, 2)
    """Passes over each rollout."""
    minibatches: int = at_least(1, 16)
    """Gradient updates in each pass; with a recurrent core no more than environments."""
    lr: float | Ramp = positive(2.5e-4)
    """Learning rate, or its schedule over counted steps."""
    optimizer: OptimizerName = "radam"
    """Optimizer of the network."""
    adam_eps: float = positive(1e-8)
    """Epsilon of the optimizer's denominator."""
    max_grad_norm: float | None = positive_or_none(10.0)
    """Global norm the gradient is clipped to, or none."""
    dueling: bool = False
    """Separate streams for value and advantage (Wang et al. 2016)."""
    epsilon: float | Ramp = fraction(Ramp(1.0, 0.05, 10_000))
    """Share of random actions in training, by counted step."""
    eval_epsilon: float = fraction(0.0)
    """Share of random actions in evaluation."""
    reward_clip: float | None = positive_or_none(None)
    """The learner clips rewards to plus and minus this; scores stay raw."""
    store: Literal["auto", "raw", "compressed"] = "auto"
    """How the replay keeps image frames."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the update; auto uses bf16 if it is faster (convolutions)."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Rows(NamedTuple):
    """T rows of N environments with the Q(lambda) returns of their actions."""

    obs: dict[str, Tensor]  # [T, N, (S,) ...]
    first: Tensor  # bool [T, N]
    state: Tensor  # [N, state_size], before row 0
    action: Tensor  # int64 [T, N]
    target: Tensor  # [T, N]
    valid: Tensor  # bool [T, N]: the row starts a transition


class PQN(ValuePlayer):
    """Regresses the values of its newest rows on their Q(lambda) returns."""

    name = "pqn"
    Config = PQNConfig
    config: PQNConfig
    network: ValueNetwork

    def __init__(self, spec: EnvSpec, config: PQNConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        if spec.action.kind != "discrete":
            raise InputError(f"{self.name} needs discrete actions, {spec.id} has {spec.action.kind}: try ppo")
        with seeded(derive_seed(seed, "weights")):
            torso = build_torso(spec, config.net, config.stack)
            head = ValueHead(torso.out_features, spec.action.logits, dueling=config.dueling)
            self.network = ValueNetwork(torso, head, Q).to(self.device)
        self._check_minibatches()
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self._shuffle = torch.Generator().manual_seed(derive_seed(seed, "minibatches"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._begun = 0  # time of the first row that no update has used
        pays = config.precision == "auto" and any(isinstance(m, nn.Conv2d) for m in self.network.modules())
        self._autocast = config.precision == "bf16" or (pays and fast_bf16(self.device))

    def _check_minibatches(self) -> None:
        c, rows = self.config, self.config.rollout * self.num_envs
        if self.state_size and c.minibatches > self.num_envs:
            raise InputError(
                f"minibatches {c.minibatches} is more than the {self.num_envs} environments, and a recurrent "
                f"network learns each environment as a whole: set minibatches={self.num_envs}, or more environments"
            )
        if c.minibatches > rows:
            raise InputError(f"minibatches {c.minibatches} is more than the rows of a rollout, {rows}: set fewer")

    # the training stream

    @property
    def stack(self) -> int:
        return self.config.stack

    def replay_fields(self) -> dict[str, Any]:
        columns = [ColumnSpec("value")]
        if self.state_size:
            columns.append(ColumnSpec("state", (self.state_size,)))
        slots = self.config.rollout + self.stack
        return {"slots": slots, "columns": columns, "stack": self.stack, "store": self.config.store}

    def observe(self, ts: TimeStep) -> None:
        extra = {"value": self._stream.extra.get("value", np.zeros(self.num_envs, np.float32))}
        if self.state_size:
            extra["state"] = self._stream.memory.cpu().numpy()
        self.reward_scale.observe(self, ts)
        self.replay.append(ts, extra)
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def act(self, ts: TimeStep) -> np.ndarray:
        return self._stream.act(ts)

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        choice = super().choose(actor, obs, ts)
        if actor.mode != "explore":
            return choice
        return choice._replace(extra={"value": self._greedy(choice.output.q_values, ts.mask).cpu().numpy()})

    def _greedy(self, q_values: Tensor, mask: np.ndarray | None) -> Tensor:
        """The value of the best allowed action, float32 [N]."""
        allowed = None if mask is None else torch.from_numpy(mask).to(self.device)
        return forbid(q_values, allowed).amax(-1)

    def update(self) -> Metrics | None:
        if self.replay.count - 1 - self._begun < self.config.rollout:
            return None
        rows = self.newest(self.replay.count - self._begun)
        self._begun = self.replay.count - 1
        return self.learn(rows) if bool(rows.valid.any()) else None

    def newest(self, length: int) -> Rows:
        """The newest `length` rows with their returns; the newest row itself only bootstraps."""
        c = self.config
        rows, extra = self.replay.newest(length)
        obs = as_tensors(rows.obs, self.device)
        names = {"reward": rows.reward, "discount": rows.discount, "first": rows.first, "action": rows.action, **extra}
        t = as_tensors(names, self.device)
        with torch.inference_mode():
            newest = {k: v[-1:] if self.state_size else v[-1] for k, v in obs.items()}
            out: Q = self.network(newest, *((t["state"][-1], t["first"][-1:]) if self.state_size else ()))
            last = self._greedy(out.q_values.reshape(self.num_envs, -1), None if rows.mask is None else rows.mask[-1])
        value = torch.cat([t["value"][1:], last.clone().unsqueeze(0)])  # [T+1, N]: the greedy values of rows 0 .. T
        reward = t["reward"] if c.reward_clip is None else t["reward"].clamp(-c.reward_clip, c.reward_clip)
        return Rows(
            obs={k: v[:-1] for k, v in obs.items()},
            first=t["first"][:-1],
            state=t["state"][0] if self.state_size else value.new_zeros(self.num_envs, 0),
            action=t["action"][1:],
            target=lambda_returns(reward, t["discount"], t["first"], value, c.gamma, c.q_lambda),
            valid=~t["first"][1:],
        )

    def learn(self, rows: Rows) -> Metrics:
        """All gradient updates on one rollout. Returns the metrics averaged over them.

        Raises NonFiniteError, with the weights from before that update, if a loss is not finite.
        """
        lr = value_at(self.config.lr, self.step)
        sums: dict[str, Tensor] = {}
        begun = self.updates
        for batch in self.batches(rows):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
                out: Q = self.network(batch.obs, *((batch.state, batch.first) if self.state_size else ()))
            q = take(out.q_values, batch.action)
            loss = torch.where(batch.valid, squared(q - batch.target), 0.0).sum() / batch.valid.sum()
            try:
                norm = self.optimizer.step(loss, lr)
            except NonFiniteError as error:
                raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}: {error}") from None
            self.updates += 1
            for name, value in {"loss": loss, "grad_norm": norm, "q_mean": q.mean()}.items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        return {name: value / (self.updates - begun) for name, value in sums.items()}

    def batches(self, rows: Rows) -> Iterator[Rows]:
        """Each pass in a new order, in near-equal parts of the transitions, or of the environments if recurrent."""
        c = self.config
        if self.state_size:
            items = self.num_envs
        else:
            flat = rows.valid.reshape(-1).nonzero().squeeze(1)
            items = len(flat)
            obs = {k: v.reshape(-1, *v.shape[2:]) for k, v in rows.obs.items()}
            first, action, target, valid = (x.reshape(-1) for x in (rows.first, rows.action, rows.target, rows.valid))
        for _ in range(c.epochs):
            order = torch.randperm(items, generator=self._shuffle).to(self.device)
            for part in order.tensor_split(min(c.minibatches, items)):
                if self.state_size:
                    picked = {k: v[:, part] for k, v in rows.obs.items()}
                    rest = (x[:, part] for x in (rows.action, rows.target, rows.valid))
                    batch = Rows(picked, rows.first[:, part], rows.state[part], *rest)
                    if not bool(batch.valid.any()):
                        continue
                else:
                    index = flat[part]
                    picked = {k: v[index] for k, v in obs.items()}
                    batch = Rows(picked, first[index], rows.state[:0], action[index], target[index], valid[index])
                yield batch

    # for viewers and logs

    def choices(self) -> dict[str, Any]:
        return {"precision": "bf16" if self._autocast else "fp32"}

    # saving

    def learner_state(self) -> dict[str, Any]:
        return {
            "begun": self._begun,
            "optimizer": self.optimizer.state_dict(),
            "shuffle": self._shuffle.get_state(),
            "stream": self._stream.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_learner_state(self, state: dict[str, Any]) -> None:
        self._begun = state["begun"]
        self.optimizer.load_state_dict(state["optimizer"])
        restore_torch_generator(self._shuffle, state["shuffle"])
        self._stream.load_state_dict(state["stream"])
        self.replay.load_state_dict(state["replay"])
