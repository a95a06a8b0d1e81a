"""The base of the value learners: memory, exploration, targets and the update, once for all of them.

A sibling says what its network's head is and writes `loss(batch)`; importance weights, averaging, backward, clipping
and the optimizer step happen here.
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from contextlib import nullcontext
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Metrics, as_tensors
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork, ValuePlayer
from rl import returns
from rl.columns import predict_bytes
from rl.cuda_graph import Recorded
from rl.device import fast_bf16, restore_torch_generator
from rl.errors import InputError, NonFiniteError
from rl.interface import EnvSpec, TimeStep
from rl.losses import forbid, munchausen_bonus, take
from rl.networks import ValueHead, build_torso, resample_noise
from rl.optim import FlatOptimizer, FlatParameters
from rl.replay import Replay, Windows
from rl.schedules import crossed, value_at
from rl.seeding import derive_seed, generator


class Batch(NamedTuple):
    """What a loss eats: B transitions of up to n steps, as tensors on the agent's device."""

    obs: dict[str, Tensor]  # [B, (S,) ...]
    mask: Tensor | None  # bool [B, A]
    action: Tensor  # int64 [B]
    reward: Tensor  # float32 [B]: the n-step return without the bootstrap, clipped as the learner sees it
    discount: Tensor  # float32 [B]: gamma^n where the episode goes on, 0 where it ended
    next_obs: dict[str, Tensor]
    next_mask: Tensor | None


class Loss(NamedTuple):
    """What a sibling's `loss` returns."""

    loss: Tensor  # [B]; of `gradient` their mean, a detached scalar
    priority: Tensor  # [B], non-negative
    metrics: Metrics


class ValueAgent(ValuePlayer):
    """Learns action values from sampled windows of the shared replay."""

    config: ValueConfig
    memory: ClassVar[bool] = False
    """Whether the sibling can learn a recurrent network."""
    recordable: ClassVar[bool] = False
    """Whether `loss` does the same for every batch but for its numbers, as `rl.device.Recorded` wants it. Holds for the
    class that says it, not for those made from it."""

    def __init__(self, spec: EnvSpec, config: ValueConfig, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        if spec.action.kind != "discrete":
            raise InputError(f"{self.name} needs discrete actions, {spec.id} has {spec.action.kind}: try ppo")
        if config.net.core != "none" and not self.memory:
            raise InputError(f"{self.name} has no memory, net.core is {config.net.core!r}: use r2d2 or core=none")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = self.build_network().to(self.device)
            self.target = self.build_network().to(self.device)
        self.target.load_state_dict(self.network.state_dict())
        self.target.requires_grad_(False)
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, config.weight_decay, config.max_grad_norm
        )
        self._targets = FlatParameters(self.target)
        self._buffers = list(zip(self.target.buffers(), self.network.buffers(), strict=True))
        self._noise = torch.Generator(self.device).manual_seed(derive_seed(seed, "noise"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._replay: Replay | None = None
        self._autocast = self._wants_bf16()

    # what a sibling says

    def build_network(self) -> ValueNetwork:
        torso = build_torso(self.spec, self.config.net, self.config.stack)
        return ValueNetwork(torso, self.build_head(torso.out_features), self.read)

    def build_head(self, features: int) -> nn.Module:
        c = self.config
        return ValueHead(
            features,
            self.spec.action.logits,
            self.outputs,
            dueling=c.dueling,
            noisy=c.noisy,
            hidden=c.head_hidden,
            sigma=c.noisy_sigma,
        )

    @property
    def outputs(self) -> int:
        """Numbers that the head gives for each action."""
        return 1

    @abstractmethod
    def read(self, head: Tensor) -> Q:
        """The head's numbers, [B, A] or [B, A, Z], as a `Q`."""

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """Per-sample loss [B], priority [B] and metrics."""

    def next_action(self, batch: Batch, target: Q) -> Tensor:
        """The greedy next action, int64 [B]: by the online network if `double`, else by `target`'s values."""
        values = self.network(batch.next_obs).q_values if self.config.double else target.q_values
        return forbid(values, batch.next_mask).argmax(-1)

    def outlook(self, batch: Batch, after: Q, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """What a distributional target is made of: (reward [B], the next observation's outputs [B, Z]).

        `outputs` [B, A, Z] are numbers that average over actions: quantiles. Those of the chosen next action; with
        Munchausen their mean under the policy, entropy added (Vieillard et al. 2020, equation 8).
        """
        if not self.config.munchausen:
            return batch.reward, take(outputs, self.next_action(batch, after))
        policy, entropy = self.soft_policy(after, batch.next_mask)
        mean = (policy.unsqueeze(-1) * outputs).sum(1)
        return batch.reward + self.bonus(batch), mean + entropy.unsqueeze(-1)

    def soft_policy(self, after: Q, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Munchausen's policy softmax(q / tau), [B, A], and tau times its entropy, [B]."""
        tau = self.config.munchausen_tau
        policy = (forbid(after.q_values, mask) / tau).softmax(-1)
        return policy, tau * torch.special.entr(policy).sum(-1)

    def bonus(self, batch: Batch) -> Tensor:
        """What Munchausen adds to the reward, [B]."""
        c = self.config
        now = forbid(self.target(batch.obs).q_values, batch.mask)
        return munchausen_bonus(now, batch.action, c.munchausen_alpha, c.munchausen_tau, c.munchausen_low)

    # the training stream

    @property
    def noisy(self) -> bool:  # type: ignore[override]
        return self.config.noisy

    @property
    def learning_starts(self) -> int:
        return self.config.learning_starts

    @property
    def stack(self) -> int:
        return self.config.stack

    @property
    def replay(self) -> Replay:
        if self._replay is None:
            self._replay = self.build_replay()
        return self._replay

    def build_replay(self, **fields: Any) -> Replay:
        """The memory; a sibling's own columns and way of sampling as `fields`."""
        c = self.config
        return Replay(
            self.spec,
            self.num_envs,
            self._slots(),
            generator(self.seed, "replay"),
            stack=c.stack,
            prioritized=c.prioritized,
            store=c.store,
            **fields,
        )

    def stored(self) -> dict[str, np.ndarray] | None:
        """What is stored with the row being observed besides the row."""
        return None

    def _slots(self) -> int:
        return max(-(-self.config.buffer_size // self.num_envs), self.config.stack + 1)

    def observe(self, ts: TimeStep) -> None:
        self.replay.append(ts, self.stored())
        self._before = self.step
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def update(self) -> Metrics | None:
        c, starts = self.config, self.learning_starts
        if self.step < starts or not crossed(self._before, self.step, c.update_every):
            return None
        counted = self.step // c.update_every - starts // c.update_every  # whole bursts, the first one too
        metrics = None
        for _ in range(int(c.replay_ratio * c.update_every * counted) - self.updates):
            sampled = self.sample()
            if sampled is None:
                break
            metrics = self.learn(sampled)
        return metrics

    def sample(self) -> Any:
        """What one update learns from, with its `rows` and `weight`; None where there is nothing yet."""
        c = self.config
        return self.replay.sample(c.batch_size, c.n_step, value_at(c.importance, self.step))

    def act(self, ts: TimeStep) -> np.ndarray:
        if self.config.noisy:
            resample_noise(self.network, self._noise)
        return self._stream.act(ts)

    def learn(self, windows: Any) -> Metrics:
        """One gradient update on what was sampled; sets their new priorities and moves the target when due.

        Raises NonFiniteError, with the weights as they were, where the loss or its gradient is not finite.
        """
        c = self.config
        batch = self._batch(windows)
        if c.noisy:
            resample_noise(self.network, self._noise)
            resample_noise(self.target, self._noise)
        out = self.gradient(batch, windows.weight if c.prioritized else None)
        try:
            norm = self.optimizer.apply(out.loss, value_at(c.lr, self.step))
        except NonFiniteError as error:
            raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}: {error}") from None
        self.updates += 1
        if c.prioritized:
            priority = out.priority.detach().float().cpu().numpy().astype(np.float64)
            self.replay.set_priorities(windows.rows, (priority + 1e-6) ** c.priority_exponent)
        if self.updates % c.target_every == 0:
            self.sync_target()
        return {"loss": out.loss.detach(), "grad_norm": norm, **out.metrics}

    def gradient(self, batch: Batch, weight: np.ndarray | None) -> Loss:
        """Sets the gradient of the batch's mean loss, rows weighted by `weight` [B] where given; that mean as loss."""
        given = None if weight is None else torch.from_numpy(weight).to(self.device)
        return self._recorded(batch, given) if self._records() else self._by_autograd(batch, given)

    @property
    def _recorded(self) -> Recorded[[Batch, Tensor | None], Loss]:
        """`_by_autograd` as a CUDA graph, recorded anew where what it was made of has been replaced.

        A module's hooks fire while it warms up and is recorded, not after.
        """
        wanted = [p.requires_grad for p in self.network.parameters()]
        parts = [self.network, self.target, self.optimizer, self.config, *wanted]
        made = self._recording
        if not made or len(parts) != len(made[0]) or any(map(operator.is_not, parts, made[0])):
            made[:] = parts, Recorded(self._by_autograd, self.device, self.generators)
        return made[1]  # type: ignore[no-any-return]

    @cached_property
    def _recording(self) -> list[Any]:
        """What the newest graph was made of, and the graph; a copy of the agent has its own."""
        return []

    def _by_autograd(self, batch: Batch, weight: Tensor | None) -> Loss:
        # PyTorch before 2.10 may hand the casts that `no_grad` cached to the pass that learns
        bf16 = torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)
        with bf16 if self._autocast else nullcontext():
            out = self.loss(batch)
        loss = out.loss.float() if weight is None else out.loss.float() * weight
        mean = loss.mean()
        self.optimizer.backward(mean)
        return out._replace(loss=mean.detach())

    @property
    def generators(self) -> list[torch.Generator]:
        """What `loss` draws from."""
        return []

    def _records(self) -> bool:
        """Whether updates run as a CUDA graph; what users write need not be as a recording wants it."""
        ours = vars(type(self)).get("recordable", False) and ":" not in self.config.net.encoder
        return self.device.type == "cuda" and self.config.cuda_graph == "auto" and ours

    def sync_target(self) -> None:
        """Moves the target network towards the online one by `target_tau`; what is not learned is copied."""
        with torch.no_grad():
            for target, online in self._buffers:
                target.copy_(online)
            if self.config.target_tau == 1.0:
                self._targets.flat.copy_(self.optimizer.flat)
            else:
                self._targets.flat.lerp_(self.optimizer.flat, self.config.target_tau)

    def _batch(self, w: Windows) -> Batch:
        c, device = self.config, self.device
        reward = w.reward if c.reward_clip is None else np.clip(w.reward, -c.reward_clip, c.reward_clip)
        total, discount = returns.n_step(reward, w.discount, w.length, c.gamma)
        rest = {"action": w.action, "reward": total, "discount": discount}
        if w.mask is not None and w.next_mask is not None:
            rest |= {"mask": w.mask, "next_mask": w.next_mask}
        t = as_tensors(rest, device)
        return Batch(
            obs=as_tensors(w.obs, device),
            mask=t.get("mask"),
            action=t["action"],
            reward=t["reward"],
            discount=t["discount"],
            next_obs=as_tensors(w.next_obs, device),
            next_mask=t.get("next_mask"),
        )

    # for those who look on

    def choices(self) -> dict[str, Any]:
        graph = {"cuda_graph": self._records()} if self.device.type == "cuda" else {}
        return {"precision": "bf16" if self._autocast else "fp32", **graph}

    def predicted_bytes(self) -> int:
        slots = self._slots()
        leaves = self.spec.obs.values()
        obs = sum(predict_bytes(x.shape, x.dtype, slots, self.num_envs, self.config.store) for x in leaves)
        return obs + slots * self.num_envs * (self.spec.action.size * 8 + 32)

    # saving

    def learner_state(self) -> dict[str, Any]:
        return {
            "before": self._before,
            "target": dict(self.target.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "noise": self._noise.get_state(),
            "stream": self._stream.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_learner_state(self, state: dict[str, Any]) -> None:
        self._before = state["before"]
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        restore_torch_generator(self._noise, state["noise"])
        self._stream.load_state_dict(state["stream"])
        self.replay.load_state_dict(state["replay"])

    def _wants_bf16(self) -> bool:
        if self.config.precision != "auto":
            return self.config.precision == "bf16"
        convolutions = any(isinstance(m, nn.Conv2d) for m in self.network.modules())
        return convolutions and self.config.batch_size >= 32 and fast_bf16(self.device)
