"""The base of the value learners: replay, Double and Munchausen targets, and the update.

A subclass defines its network's head (`outputs`, `read`) and its `loss(batch)`. Importance weights, averaging,
backward, clipping and the optimizer step happen here, and so do Double DQN's action and the Munchausen terms.
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Metrics, each_tensor
from agents.numpy_gradients import gradient as numpy_gradient
from agents.numpy_gradients import inherited
from agents.replay_agent import Batch, ReplayAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork, ValuePlayer
from rl.cuda_graph import CudaGraph
from rl.device import uses_bf16
from rl.errors import InputError, NonFiniteError
from rl.interface import EnvSpec, TimeStep
from rl.losses import forbid, munchausen_bonus, soft_value, take
from rl.networks.heads import ValueHead, resample_noise
from rl.networks.small import SmallNetwork
from rl.networks.torso import build_torso
from rl.optim import FlatOptimizer, FlatParameters
from rl.schedules import value_at
from rl.seeding import derive_seed


class Loss(NamedTuple):
    """The result of `loss`."""

    loss: Tensor  # [B]; after `gradient` their mean, a detached scalar
    priority: Tensor  # [B], non-negative
    metrics: Metrics


class ValueAgent(ReplayAgent, ValuePlayer):
    """Learns action values from sampled windows of the shared replay."""

    config: ValueConfig
    memory: ClassVar[bool] = False
    """Whether the agent can learn a recurrent network."""
    own: slice | None = None
    """The rows of the minibatch that `loss` is given, while this rank computes its part of a gradient."""
    cuda_graph_safe: ClassVar[bool] = False
    """Whether `loss` runs the same kernels for every batch, as `rl.cuda_graph` needs. Subclasses do not inherit it."""

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
        self.add_normaliser()
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        few = config.precision == "auto" and config.batch_size < 32
        self.bf16 = not few and uses_bf16(config.precision, self.network, self.device)

    # defined by subclasses

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
        """How many outputs the head has for each action."""
        return 1

    @abstractmethod
    def read(self, head: Tensor) -> Q:
        """The head's output, [B, A] or [B, A, Z], as a `Q`."""

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """Per-sample loss [B], priority [B] and metrics."""

    # Double and Munchausen targets

    def next_action(self, batch: Batch, target: Q) -> Tensor:
        """The greedy next action of a batch, int64 [B]."""
        return self.best_action(lambda: self.network(batch.next_obs).q_values, target.q_values, batch.next_mask)

    def best_action(self, online: Callable[[], Tensor], target: Tensor, mask: Tensor | None) -> Tensor:
        """The allowed action of the highest value, int64 [...], of values [..., A].

        The values are the target network's; with `double` the online network's (van Hasselt et al. 2016, equation 4).
        """
        return forbid(online() if self.config.double else target, mask).argmax(-1)

    def next_outputs(self, batch: Batch, after: Q, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of a distributional target: (reward [B], outputs of the next observation [B, Z], entropy [B]).

        `outputs` [B, A, Z] are quantiles or probabilities. Without Munchausen they are those of the next action, and
        the entropy is 0. With Munchausen they are averaged under the softmax policy, and the entropy of that policy,
        times tau, must be added to the returns (Vieillard et al. 2020, equation 8).
        """
        if not self.config.munchausen:
            return batch.reward, take(outputs, self.next_action(batch, after)), torch.zeros_like(batch.reward)
        tau = self.config.munchausen_tau
        policy = (forbid(after.q_values, batch.next_mask) / tau).softmax(-1)
        mean = (policy.unsqueeze(-1) * outputs).sum(1)
        return batch.reward + self.bonus(batch), mean, tau * torch.special.entr(policy).sum(-1)

    def soft_value(self, q_values: Tensor, mask: Tensor | None) -> Tensor:
        """Munchausen's value of an observation, [..., A] to [...]: the softmax policy's mean value plus its entropy."""
        return soft_value(forbid(q_values, mask), self.config.munchausen_tau)

    def bonus(self, batch: Batch) -> Tensor:
        """Munchausen's addition to the reward of a batch, [B]."""
        return self.log_policy_bonus(self.target(batch.obs).q_values, batch.mask, batch.action)

    def log_policy_bonus(self, q_values: Tensor, mask: Tensor | None, action: Tensor) -> Tensor:
        """Munchausen's clipped log-policy of `action` [...] under target values [..., A] (equation 2). [...]"""
        c = self.config
        return munchausen_bonus(forbid(q_values, mask), action, c.munchausen_alpha, c.munchausen_tau, c.munchausen_low)

    # the training stream

    def networks(self) -> list[nn.Module]:
        return [self.network, self.target]

    @property
    def noisy(self) -> bool:  # type: ignore[override]
        return self.config.noisy

    def act(self, ts: TimeStep) -> np.ndarray:
        if self.config.noisy:
            resample_noise(self.network, self._noise)
        return super().act(ts)

    def learn(self, windows: Any) -> Metrics:
        """One gradient update on a sample: sets new priorities, and updates the target network if that is due.

        Raises NonFiniteError, with unchanged weights, if the loss or its gradient is not finite.
        """
        c = self.config
        batch = self._batch(windows)
        if c.noisy:
            resample_noise(self.network, self._noise)
            resample_noise(self.target, self._noise)
        weight = windows.weight if c.prioritized else None
        share = self.gradient if self.ranks is None else self._shared_gradient
        out = share(batch, weight)
        try:
            norm = self.optimizer.apply(out.loss, value_at(c.lr, self.step))
        except NonFiniteError as error:
            raise NonFiniteError(f"{self.name}, update {self.updates + 1}, step {self.step}: {error}") from None
        self.updates += 1
        self.set_priorities(windows.rows, out.priority)
        if self.updates % c.target_every == 0:
            self.sync_target()
        return {"loss": out.loss.detach(), "grad_norm": norm, **out.metrics}

    @cached_property
    def dense(self) -> SmallNetwork | None:
        return self._numpy(self.network)

    @cached_property
    def dense_target(self) -> SmallNetwork | None:
        """The target network in NumPy, or None."""
        return self._numpy(self.target)

    def _numpy(self, network: nn.Module) -> SmallNetwork | None:
        """`network` in NumPy if its values are the head's own output, as DQN's are, else None."""
        ours = self.numpy_loss == "dqn" and inherited(self, "read", "choose") and not self.bf16
        return network.dense() if ours and type(network) is ValueNetwork else None

    def gradient(self, batch: Batch, weight: np.ndarray | None) -> Loss:
        """Sets the gradient of the batch's mean loss, rows weighted by `weight` [B] if given; returns the mean."""
        found = numpy_gradient(self, batch, weight)
        if found is not None and found.priority is not None:
            return Loss(found.loss, found.priority, found.metrics)
        given = None if weight is None else torch.from_numpy(weight).to(self.device)
        return self._cuda_graph(batch, given) if self._uses_cuda_graph() else self._by_autograd(batch, given)

    def _shared_gradient(self, batch: Any, weight: np.ndarray | None) -> Loss:
        """`gradient`, of which each rank computes its rows' part; the sum over the ranks is that of the whole batch."""
        ranks, size = self.ranks, self.config.batch_size
        assert ranks is not None
        part = ranks.part(size)
        self.own = own = slice(part.start, part.stop)
        try:
            out = self.gradient(self.part_of(batch, own), None if weight is None else weight[own])
        finally:
            self.own = None
        priority = torch.zeros(size)
        priority[own] = out.priority.float()
        numbers = torch.stack([x.detach().float() for x in (out.loss, *out.metrics.values())])
        together = torch.cat([torch.cat([self.optimizer.grad, numbers]) * (len(part) / size), priority])
        ranks.sum(together)
        gradient, (loss, *metrics), priority = together.split([len(self.optimizer.grad), len(numbers), size])
        self.optimizer.grad.copy_(gradient)
        return Loss(loss, priority, dict(zip(out.metrics, metrics, strict=True)))

    def part_of(self, batch: Any, own: slice) -> Any:
        """Some rows of a batch."""
        return each_tensor(batch, lambda x: x[own])

    @property
    def _cuda_graph(self) -> CudaGraph[[Batch, Tensor | None], Loss]:
        """`_by_autograd` as a CUDA graph, captured again if the network, the target or the optimizer was replaced.

        A module's hooks run during warm-up and capture, not afterwards.
        """
        trainable = [p.requires_grad for p in self.network.parameters()]
        parts = [self.network, self.target, self.optimizer, self.config, *trainable]
        made = self._cuda_graph_cache
        if not made or len(parts) != len(made[0]) or any(map(operator.is_not, parts, made[0])):
            made[:] = parts, CudaGraph(self._by_autograd, self.device, self.generators)
        return made[1]  # type: ignore[no-any-return]

    @cached_property
    def _cuda_graph_cache(self) -> list[Any]:
        """The parts that the newest graph was captured with, and the graph; a copy of the agent has its own."""
        return []

    def _by_autograd(self, batch: Batch, weight: Tensor | None) -> Loss:
        # without the cache: PyTorch before 2.10 may reuse casts that were cached under `no_grad`
        with torch.autocast(self.device.type, torch.bfloat16, self.bf16, cache_enabled=False):
            out = self.loss(batch)
        loss = out.loss.float() if weight is None else out.loss.float() * weight
        mean = loss.mean()
        self.optimizer.backward(mean)
        return out._replace(loss=mean.detach())

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators that `loss` draws from."""
        return []

    def _uses_cuda_graph(self) -> bool:
        """Whether updates run as a CUDA graph. Losses and encoders of users need not be safe to capture."""
        ours = vars(type(self)).get("cuda_graph_safe", False) and ":" not in self.config.net.encoder
        return self.device.type == "cuda" and self.config.cuda_graph == "auto" and ours

    def sync_target(self) -> None:
        """Moves the target network towards the online one by `target_tau`; copies the buffers."""
        with torch.no_grad():
            for target, online in self._buffers:
                target.copy_(online)
            if self.config.target_tau == 1.0:
                self._targets.flat.copy_(self.optimizer.flat)
            else:
                self._targets.flat.lerp_(self.optimizer.flat, self.config.target_tau)

    # for viewers and logs

    def next_update(self) -> tuple[Any, Tensor | None] | None:
        windows = self.sample() if len(self.replay) else None
        if windows is None:
            return None
        weight = torch.from_numpy(windows.weight).to(self.device) if self.config.prioritized else None
        return self._batch(windows), weight

    def objective(self, batch: Any, weight: Tensor | None) -> Tensor:
        loss = self.loss(batch).loss
        return (loss if weight is None else loss * weight).mean()

    def choices(self) -> dict[str, Any]:
        graph = {"cuda_graph": self._uses_cuda_graph()} if self.device.type == "cuda" else {}
        return {"precision": "bf16" if self.bf16 else "fp32", **graph}

    # saving

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "target": self.target, "noise": self._noise}
