"""A network as a list of layers and one vector of weights, which net.js computes.

Layers are known by the modules of `rl.networks`, never by the agent's type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.actor_critic import ActorCritic
from agents.alphazero import PolicyValue
from agents.base import Agent
from agents.critics import PolicyAndCritics
from agents.value_player import ValueNetwork
from rl.distributions import DiscreteHead, GaussianHead
from rl.errors import InputError
from rl.networks.cores import Core
from rl.networks.encoders import Flat, PixelNorm, Pixels, Planes, Residual
from rl.networks.heads import CosineEmbedding, NoisyLinear, ValueHead
from rl.networks.moving import Dropout
from rl.networks.resnet import ResNet
from rl.networks.simba import Block, Simba
from rl.networks.torso import Encoder, Torso
from rl.networks.tuples import TupleNetwork
from rl.normalise import ObservationNormaliser

Op = dict[str, Any]

_ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.ELU: "elu", nn.SiLU: "silu"}
_TRANSPARENT = (nn.Sequential, nn.ModuleList, Encoder, Pixels, ResNet, Torso)


def network_plan(agent: Agent) -> tuple[dict[str, Any], np.ndarray]:
    """What net.js needs to act greedily as `agent` does: the layers, as plain JSON, and all weights, float32 [n].

    The layers depend on the agent's settings alone, so every checkpoint of a run has the same.
    Raises `InputError` for a network with a part that net.js lacks.
    """
    with torch.no_grad():
        reader = _Reader(agent)
        plan = reader.read(agent.network)
        return {**plan, "stack": agent.stack}, np.concatenate(reader.weights).astype("<f4")


class _Reader:
    def __init__(self, agent: Agent) -> None:
        self.agent, self.weights, self._size = agent, [np.zeros(0, np.float32)], 0
        if len(agent.spec.obs) != 1:
            raise InputError(f"{agent.spec.id} shows several observations: the page's network reads one")
        (self.leaf,) = agent.spec.obs.values()
        self.shape: tuple[int, ...] = ()
        """Of the picture that the next layer reads, [C, H, W]; () for a vector."""

    def keep(self, tensor: Tensor) -> list[int]:
        """Adds weights to the vector; returns their place and number."""
        flat = tensor.detach().cpu().float().reshape(-1).numpy()
        self.weights.append(flat)
        self._size += len(flat)
        return [self._size - len(flat), len(flat)]

    def read(self, network: nn.Module) -> dict[str, Any]:
        normaliser = network._modules.get("normaliser")
        before = [] if normaliser is None else self.ops(normaliser)
        if isinstance(network, ValueNetwork) and isinstance(network.head, ValueHead):
            return self._values(network, network.head, before)
        if isinstance(network, ActorCritic):
            separate = network.critic_torso is not None
            critic = [*before, *self.ops(network.critic_torso)] if separate else None
            policy = {"body": [*before, *self.ops(network.torso)], "critic": critic, **self._policy(network.policy)}
            return {**policy, "value": self.ops(network.value)}
        if isinstance(network, PolicyAndCritics):
            torso, head = network.get_submodule("policy.torso"), network.get_submodule("policy.head")
            return {"body": [*before, *self.ops(torso)], "critic": None, "value": None, **self._policy(head)}
        if isinstance(network, PolicyValue):
            body, out = self.ops(network.torso), self.ops(network.policy)
            value = self.ops(network.value[:-1])
            return {
                "kind": "probabilities",
                "body": body,
                "critic": None,
                "out": out,
                "value": value,
                "tanhValue": True,
            }
        name = "n-tuple network" if isinstance(network, TupleNetwork) else f"network {type(network).__name__}"
        raise InputError(
            f"the {name} of {self.agent.name} has no JavaScript here: export a DQN, PPO, SAC or AlphaZero relative"
        )

    def _values(self, network: ValueNetwork, head: ValueHead, before: list[Op]) -> dict[str, Any]:
        plan: dict[str, Any] = {"kind": "values", "critic": None, "outputs": head.outputs}
        plan["body"] = [*before, *self.ops(network.torso)]
        plan["out"] = self.ops(head.advantage)
        plan["value"] = None if head.value is None else self.ops(head.value)
        embedding = network._modules.get("embedding")
        if isinstance(embedding, CosineEmbedding):  # at fixed fractions, so its output is constant
            taus = network.get_buffer("midpoints")
            ones = torch.ones(embedding.embed.out_features, device=self.agent.device)
            plan["mix"] = self.keep(embedding(ones, taus))
        for name in ("support", "prior"):  # of C51
            if (atoms := getattr(self.agent, name, None)) is not None:
                plan[name] = self.keep(atoms)
        return plan

    def _policy(self, head: nn.Module) -> dict[str, Any]:
        if isinstance(head, DiscreteHead) and head.kind == "discrete":
            return {"kind": "probabilities", "out": self.ops(head.logits)}
        if not isinstance(head, GaussianHead | nn.Linear):
            raise InputError(
                f"{self.agent.spec.id} has {self.agent.spec.action.kind} actions, which the page cannot show"
            )
        layer = head.mean if isinstance(head, GaussianHead) else head  # TD3's policy is a linear layer and tanh
        plan: dict[str, Any] = {"kind": "continuous", "out": self.ops(layer), "squash": False}
        if bounds := getattr(self.agent, "bounds", None):
            plan |= {"squash": True, "centre": bounds.centre.tolist(), "half": bounds.half.tolist()}
        elif isinstance(head, GaussianHead) and head.squash:
            plan |= {"squash": True, "centre": head.centre.tolist(), "half": head.half_range.tolist()}
        return plan

    def ops(self, module: nn.Module | None) -> list[Op]:
        """The layers of `module`, in the order in which it calls them."""
        if module is None or isinstance(module, Dropout):  # acting drops nothing
            return []
        if kind := next((name for known, name in _ACTIVATIONS.items() if type(module) is known), None):
            return [{"op": "act", "kind": kind}]
        if isinstance(module, nn.Linear | NoisyLinear):  # greedy acting uses a noisy layer's mean
            self.shape = ()
            return [{"op": "dense", "w": self.keep(module.weight), "b": self.bias(module), "in": module.in_features}]
        if isinstance(module, nn.Conv2d):
            return [self._conv(module)]
        if isinstance(module, nn.LayerNorm):
            pixels = math.prod(self.shape[1:]) if isinstance(module, PixelNorm) else 1
            kept = {"w": self.keep(module.weight), "b": self.keep(module.bias)}
            return [{"op": "norm", **kept, "eps": module.eps, "pixels": pixels}]
        if isinstance(module, ObservationNormaliser):
            return [self._normaliser(module)]
        if isinstance(module, Core):
            return [self._core(module)]
        if isinstance(module, Residual | Block):
            return [{"op": "residual", "ops": self.ops(module.layers)}]
        if isinstance(module, Flat | Planes):
            return self._input(module)
        if isinstance(module, Simba):
            parts: Iterable[nn.Module] = (module.normaliser, module.stems, module.embed, module.blocks, module.norm)
        elif isinstance(module, _TRANSPARENT):
            parts = module.children()
        else:
            raise InputError(f"the layer {type(module).__name__} has no JavaScript here: train with another encoder")
        return [op for part in parts for op in self.ops(part)]

    def bias(self, module: nn.Linear | NoisyLinear | nn.Conv2d) -> list[int]:
        out = module.weight.shape[0]
        return self.keep(torch.zeros(out) if module.bias is None else module.bias)

    def _input(self, stem: Flat | Planes) -> list[Op]:
        if self.leaf.kind not in ("vector", "board") or stem.scale != 1.0:
            raise InputError(
                f"{self.agent.spec.id} shows {self.leaf.kind}s: the page's network reads vectors and boards"
            )
        self.shape = stem.shape if isinstance(stem, Planes) else ()
        return []

    def _conv(self, module: nn.Conv2d) -> Op:
        k, stride, pad = (int(size[0]) for size in (module.kernel_size, module.stride, module.padding))
        op = {"op": "conv", "w": self.keep(module.weight), "b": self.bias(module), "shape": list(self.shape)}
        height, width = ((side + 2 * pad - k) // stride + 1 for side in self.shape[1:])
        self.shape = (module.out_channels, height, width)
        return {**op, "k": k, "stride": stride, "pad": pad}

    def _normaliser(self, module: ObservationNormaliser) -> Op:
        (moments,) = module.moments
        mean, var = moments.get_buffer("mean"), moments.get_buffer("var")
        return {"op": "standardise", "mean": self.keep(mean), "scale": self.keep((var + 1e-8).rsqrt())}

    def _core(self, core: Core) -> Op:
        w, u, b, c = (self.keep(part) for part in core.rnn._parameters.values() if part is not None)
        kind = "lstm" if core.parts == 2 else "gru"
        return {
            "op": "core",
            "kind": kind,
            "size": core.size,
            "in": core.rnn.input_size,
            "w": w,
            "u": u,
            "b": b,
            "c": c,
        }
