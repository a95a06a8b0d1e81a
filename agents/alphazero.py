"""AlphaZero (Silver et al. 2018) with Gumbel search (Danihelka et al. 2022): self-play, a policy and a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.base import Actor, Choice, Decision, Metrics, as_tensors
from agents.learner_config import LearnerConfig
from agents.planning import PlanningAgent
from agents.replay_agent import ReplayAgent
from rl.device import uses_bf16
from rl.distributions import Categorical
from rl.errors import InputError, NonFiniteError
from rl.fields import at_least, fraction, not_negative, positive
from rl.interface import EnvSpec, TimeStep
from rl.networks.config import ResNetConfig
from rl.networks.torso import build_torso
from rl.optim import FlatOptimizer, OptimizerName
from rl.replay import ColumnSpec, Windows
from rl.schedules import Ramp, value_at
from rl.search.search import Evaluate, SearchConfig
from rl.seeding import derive_seed

FORBIDDEN = -1e9
"""The logit of an illegal action."""


@dataclass(frozen=True)
class AlphaZeroConfig(LearnerConfig):
    """AlphaZero's own fields."""

    net: ResNetConfig = field(default_factory=ResNetConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    """How the tree grows."""
    simulations: int = at_least(1, 32)
    """Of a full search in training. Only positions with a full search teach the policy."""
    fast_simulations: int = at_least(1, 8)
    """Of the other searches (playout-cap randomisation, Wu 2019)."""
    full_share: float = fraction(0.25)
    """Share of full searches; 1 turns the randomisation off."""
    eval_simulations: int = not_negative(100)
    """Of a search that counts, without noise; 0 is the network alone."""
    gamma: float = fraction(1.0)
    lr: float | Ramp = positive(2e-3)
    optimizer: OptimizerName = "adamw"
    weight_decay: float = not_negative(1e-4)
    """Weight decay of AdamW."""
    batch_size: int = at_least(1, 256)
    """Positions of one update."""
    buffer_size: int = at_least(1, 400_000)
    """Rows the replay keeps, over all games."""
    window: int | Ramp = at_least(1, 400_000)
    """Newest rows that samples are drawn from: a schedule lets the window grow."""
    learning_starts: int = not_negative(2_000)
    """Moves before the first update."""
    replay_ratio: float = positive(1 / 64)
    """Updates for each move."""
    update_every: int = at_least(1, 64)
    """Moves between bursts of updates."""
    value_cost: float = positive(1.0)
    """Weight of the value's loss."""
    root_share: float = fraction(0.5)
    """Share of the root's value in the value target; the rest is the outcome of the game."""
    symmetries: bool = True
    """Turn and mirror each sampled position, with its policy, by a random symmetry of the game."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the torso, in searches and updates; auto uses bf16 if it is faster (convolutions)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stack != 1 or self.reward_clip is not None:
            raise InputError("alphazero reads whole positions and exact outcomes: leave stack and reward_clip out")
        if self.batch_size > self.buffer_size:
            raise InputError(f"batch_size {self.batch_size} is larger than buffer_size {self.buffer_size}")
        if self.net.core != "none":
            raise InputError(f"alphazero has no memory, net.core is {self.net.core!r}: leave it out")
        if self.weight_decay and self.optimizer != "adamw":
            raise InputError(f"weight_decay {self.weight_decay} needs optimizer=adamw, got {self.optimizer}")


class PolicyValue(nn.Module):
    """A policy and a value on one torso: obs leaves [B, ...] to logits [B, A] and values [B] in [-1, 1].

    If `bf16`, the torso computes in bfloat16. The heads stay in float32, because close values must remain distinct.
    """

    def __init__(self, spec: EnvSpec, config: AlphaZeroConfig) -> None:
        super().__init__()
        self.bf16 = False
        self.torso = build_torso(spec, config.net)
        self.policy = nn.Linear(self.torso.out_features, spec.action.logits)
        self.value = nn.Sequential(nn.Linear(self.torso.out_features, 64), nn.ReLU(), nn.Linear(64, 1), nn.Tanh())

    def forward(self, obs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.policy.weight.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.torso.encode(obs)
        features = features.float()
        return self.policy(features), self.value(features).squeeze(-1)


class ZeroBatch(NamedTuple):
    """B positions, seen by the player to move."""

    obs: dict[str, Tensor]
    legal: Tensor  # bool [B, A]
    policy: Tensor  # float32 [B, A]: of the search
    full: Tensor  # float32 [B]: 1 if the search was a full one
    value: Tensor  # float32 [B]: the target


class AlphaZero(ReplayAgent, PlanningAgent):
    """Searches before every move; learns the policy of the search, and the value of its root and the game's outcome.

    With `self_play` in the environment's options, each row is a position of the player to move, so that returns flip
    their sign at every row. A checkpoint lies between moves: no tree is ever saved.
    """

    name = "alphazero"
    overlaps = False
    Config = AlphaZeroConfig
    config: AlphaZeroConfig  # type: ignore[assignment]

    def __init__(
        self, spec: EnvSpec, config: AlphaZeroConfig, *, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        if getattr(spec.simulator, "players", 0) != 2:
            raise InputError(f"{self.name} plays games for two, and {spec.id} is none: use a Boards/ game, or mcts")
        self.model = spec.simulator
        self._symmetries = self.model.symmetries
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network: PolicyValue = PolicyValue(spec, config).to(self.device)
        self.network.bf16 = uses_bf16(config.precision, self.network, self.device)
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, config.weight_decay, config.max_grad_norm
        )
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")

    # acting

    def evaluator(self, rng: np.random.Generator) -> Evaluate:
        """Evaluates by the network, and each position once: a third of the leaves of a search are transpositions.

        It forgets with the search, so that no checkpoint has to hold it.
        """
        known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

        def evaluate(states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            obs, legal = self.model.observe(states)
            (boards,) = obs.values()
            keys = [row.tobytes() for row in np.packbits(boards.reshape(len(states), -1), axis=1)]
            new = {key: i for i, key in enumerate(keys) if key not in known}
            if new:
                rows = list(new.values())
                with torch.inference_mode():
                    logits, value = self.network(as_tensors({k: x[rows] for k, x in obs.items()}, self.device))
                known.update(zip(new, zip(logits.cpu().numpy(), value.cpu().numpy(), strict=True), strict=True))
            found = [known[key] for key in keys]
            return np.stack([x[0] for x in found]), legal, np.stack([x[1] for x in found])

        return evaluate

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        c, count = self.config, len(ts.first)
        if actor.mode != "explore":
            planned = self.plan(ts, np.full(count, c.eval_simulations), actor.rng, noise=actor.mode == "sample")
            return planned._replace(extra={})
        full = actor.rng.random(count) < c.full_share
        planned = self.plan(ts, np.where(full, c.simulations, c.fast_simulations), actor.rng, noise=True)
        return planned._replace(extra={**planned.extra, "full": full})

    def greedy(self, obs: dict[str, Tensor], mask: Tensor | None, state: Tensor | None) -> Decision:
        """The network's own best move, without a search."""
        logits, value = self.network(obs)
        dist = Categorical(logits, mask)
        return Decision(dist.mode(), {**dist.numbers(), "value": value})

    # learning

    def replay_fields(self) -> dict[str, Any]:
        columns = [
            ColumnSpec("policy", (self.spec.action.logits,)),
            ColumnSpec("root"),
            ColumnSpec("full", dtype="bool"),
        ]
        slots = max(-(-self.config.buffer_size // self.num_envs), 2)
        return {"slots": slots, "store": self.config.store, "columns": columns}

    def stored(self) -> dict[str, np.ndarray]:
        """The search that led to the row being observed."""
        blank = {c.name: np.zeros((self.num_envs, *c.shape), c.dtype) for c in self.replay.columns.values()}
        return {**blank, **self._stream.extra}

    def sample(self) -> Windows | None:
        newest = -(-int(value_at(self.config.window, self.step)) // self.num_envs)
        return self.replay.sample(self.config.batch_size, self.model.longest, newest=max(newest, 2))

    def batch(self, w: Windows) -> ZeroBatch:
        """The positions at the start of windows that reach to the end of their games."""
        c, after = self.config, w.rows // self.num_envs + 1
        extra = {name: x[0] for name, x in self.replay.rows(after, w.rows % self.num_envs, 1)[1].items()}
        sign = -1.0 if self.spec.alternating else 1.0
        factors = (sign * c.gamma) ** np.arange(len(w.reward))
        outcome = (factors[:, None] * w.reward).sum(axis=0)
        over = (w.discount == 0).any(axis=0)  # a game in progress has no outcome yet
        value = np.where(over, (1 - c.root_share) * outcome + c.root_share * extra["root"], extra["root"])
        obs, legal, policy = w.obs, self._legal(w), extra["policy"]
        if c.symmetries:
            which = self.replay.rng.integers(len(self._symmetries.names), size=len(after))
            obs, legal, policy = self.transformed(which, obs, legal, policy)
        rest = {"legal": legal, "policy": policy, "full": extra["full"].astype(np.float32)}
        return ZeroBatch(
            obs=as_tensors(obs, self.device),
            **as_tensors({**rest, "value": value.astype(np.float32)}, self.device),
        )

    def _legal(self, w: Windows) -> np.ndarray:
        if w.mask is not None:
            return w.mask
        return np.ones((len(w.rows), self.spec.action.logits), bool)

    def transformed(
        self, which: np.ndarray, obs: dict[str, np.ndarray], legal: np.ndarray, policy: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Each position [B], its legal actions and its policy by the symmetry of number `which`, int64 [B]."""
        cells, actions = self._symmetries.cells[which], self._symmetries.actions[which]
        boards = {
            name: np.take_along_axis(x.reshape(len(x), cells.shape[1], -1), cells[:, :, None], 1).reshape(x.shape)
            for name, x in obs.items()
        }
        return boards, np.take_along_axis(legal, actions, 1), np.take_along_axis(policy, actions, 1)

    def loss(self, batch: ZeroBatch) -> tuple[Tensor, Metrics]:
        """(z - v)^2 - pi log p, the mean over the batch; p of full searches only."""
        logits, value = self.network(batch.obs)
        log_probs = F.log_softmax(logits.masked_fill(~batch.legal, FORBIDDEN), -1)
        cross = -(batch.policy * log_probs).sum(-1)
        policy_loss = (cross * batch.full).sum() / batch.full.sum().clamp(min=1.0)
        value_loss = (value - batch.value).square().mean()
        metrics = {"policy_loss": policy_loss.detach(), "value_loss": value_loss.detach()}
        return policy_loss + self.config.value_cost * value_loss, metrics

    def learn(self, windows: Windows) -> Metrics:
        loss, metrics = self.loss(self.batch(windows))
        try:
            norm = self.optimizer.step(loss, value_at(self.config.lr, self.step))
        except NonFiniteError as error:
            raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}: {error}") from None
        self.updates += 1
        return {"loss": loss.detach(), "grad_norm": norm, **metrics}

    # for viewers and logs

    def choices(self) -> dict[str, Any]:
        return {"precision": "bf16" if self.network.bf16 else "fp32"}

    def schedule(self) -> dict[str, float]:
        return {"lr": value_at(self.config.lr, self.step), "window": value_at(self.config.window, self.step)}

    def settings_warning(self, value: float) -> str:
        """One line if the agent plays one side only."""
        if self.spec.alternating:
            return ""
        return (
            "alphazero learns from games against the opponent alone: --set env.options.self_play=true plays both sides"
        )
