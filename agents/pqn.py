"""PQN (Gallici et al. 2024): Q(lambda) on the newest rows of many environments, without replay or target network.

LayerNorm keeps it stable. With a recurrent core it learns whole rollouts from their stored state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from agents.base import Actor, Choice
from agents.policy_config import RolloutConfig
from agents.rollout import Rollout, RolloutAgent, RowLoss
from agents.value_player import Q, ValueNetwork, ValuePlayer
from rl.axes import Axis, choice, complement, left, number, rate, share, size
from rl.device import uses_bf16
from rl.errors import InputError
from rl.fields import at_least, fraction
from rl.interface import EnvSpec, TimeStep
from rl.losses import forbid, squared, take
from rl.networks import NetConfig
from rl.networks.heads import ValueHead
from rl.networks.torso import build_torso
from rl.optim import OptimizerName
from rl.replay import ColumnSpec
from rl.returns import lambda_returns
from rl.schedules import Ramp


@dataclass(frozen=True)
class PQNConfig(RolloutConfig):
    """PQN's fields."""

    SPACE: ClassVar[dict[str, Axis]] = {
        "lr": rate(3e-5, 3e-3),
        "lr.end": left(0.01),
        "gamma": complement(1e-3, 0.1),
        "q_lambda": complement(0.01, 0.9),
        "rollout": size(8, 256),
        "epochs": size(1, 8),
        "minibatches": size(1, 32),
        "epsilon.steps": share(0.02, 0.6),
        "epsilon.end": number(0.0, 0.2),
        "net.hidden": choice("64x64", "128x128", "256x256"),
    }
    """What `rl tune` searches."""

    net: NetConfig = field(default_factory=lambda: NetConfig(layer_norm=True))
    rollout: int = 32
    lr: float | Ramp = 2.5e-4
    optimizer: OptimizerName = "radam"
    adam_eps: float = 1e-8
    max_grad_norm: float | None = 10.0
    q_lambda: float = fraction(0.65)
    """Lambda of the return: 0 is one step, 1 the whole rollout."""
    epochs: int = at_least(1, 2)
    """Passes over each rollout."""
    minibatches: int = at_least(1, 16)
    """Gradient updates in each pass; with a recurrent core no more than environments."""
    dueling: bool = False
    """Separate streams for value and advantage (Wang et al. 2016)."""
    epsilon: float | Ramp = fraction(Ramp(1.0, 0.05, 10_000))
    """Share of random actions in training, by counted step."""
    eval_epsilon: float = fraction(0.0)
    """Share of random actions in evaluation."""


class QBatch(NamedTuple):
    """The argument of `loss`: B transitions, or T rows of B environments if the network has a recurrent core."""

    obs: dict[str, Tensor]  # [..., (S,) ...]
    first: Tensor  # bool [...]
    state: Tensor  # [B, state_size], before row 0; [0, 0] without a recurrent core
    action: Tensor  # int64 [...]
    target: Tensor  # [...]: the Q(lambda) return of the action
    valid: Tensor  # bool [...]: the row starts a transition


class PQN(RolloutAgent, ValuePlayer):
    """Regresses the values of its newest rows on their Q(lambda) returns."""

    name = "pqn"
    Config = PQNConfig
    config: PQNConfig
    network: ValueNetwork

    def __init__(self, spec: EnvSpec, config: PQNConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.add_normaliser()
        self.bf16 = uses_bf16(config.precision, self.network, self.device)
        if self.recurrent and config.minibatches > num_envs:
            raise InputError(
                f"minibatches {config.minibatches} is more than the {num_envs} environments, and a recurrent network "
                f"learns each environment as a whole: set minibatches={num_envs}, or more environments"
            )
        rows = config.rollout * num_envs
        if config.minibatches > rows:
            raise InputError(f"minibatches {config.minibatches} is more than the rows of a rollout, {rows}: set fewer")

    def build_network(self) -> ValueNetwork:
        spec, config = self.spec, self.config
        if spec.action.kind != "discrete":
            raise InputError(f"{self.name} needs discrete actions, {spec.id} has {spec.action.kind}: try ppo")
        torso = build_torso(spec, config.net, config.stack)
        head = ValueHead(torso.out_features, spec.action.logits, dueling=config.dueling)
        return ValueNetwork(torso, head, Q)

    def columns(self) -> list[ColumnSpec]:
        return [ColumnSpec("value")]

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        choice = super().choose(actor, obs, ts)
        if actor.mode != "explore":
            return choice
        mask = None if ts.mask is None else torch.from_numpy(ts.mask).to(self.device)
        return choice._replace(extra={"value": greedy_value(choice.output.q_values, mask).cpu().numpy()})

    def last_value(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        obs = self.normalised(obs)
        if self.recurrent:
            newest = {k: v.unsqueeze(0) for k, v in obs.items()}
            q_values = self.network(newest, rows["state"][-1], rows["first"][-1:]).q_values[0]
        else:
            q_values = self.network(obs).q_values
        return greedy_value(q_values, rows["mask"][-1] if "mask" in rows else None)

    def batch(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> QBatch:
        c, first = self.config, rows["first"]
        reward = self.rewards_of(rows)
        target = lambda_returns(reward, rows["discount"], first, rows["value"], c.gamma, c.q_lambda)
        return QBatch(obs, first[:-1], rows["state"][0], rows["action"][1:], target, valid=~first[1:])

    def batches(self, rollout: Rollout) -> Iterator[QBatch]:
        """Each pass in a new order, in near-equal parts of the transitions, or of the environments if recurrent."""
        parts = min(self.config.minibatches, len(self.items(rollout)))
        return self.shuffled(rollout, self.config.epochs, parts)

    def loss(self, batch: QBatch) -> RowLoss:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            out: Q = self.network(self.normalised(batch.obs), *((batch.state, batch.first) if self.recurrent else ()))
        q = take(out.q_values, batch.action)
        return RowLoss(squared(q - batch.target), {"q_mean": q.detach().mean()})  # equation 8

    def choices(self) -> dict[str, Any]:
        return {"precision": "bf16" if self.bf16 else "fp32"}


def greedy_value(q_values: Tensor, mask: Tensor | None) -> Tensor:
    """The value of the best allowed action, [N, A] to [N]."""
    return forbid(q_values, mask).amax(-1)
