"""The panel on what the network sees: saliency, activations, a map of states and the receptive field of a unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.base import Agent
from runs.explaining.states import activations, outputs, value_of
from runs.explaining.subject import Subject, in_double
from runs.explaining.tape import Operation

CHOSEN = 6
"""States whose saliency and activations are shown."""
CHANNELS, UNITS = 12, 128
"""Channels and units that are shown of a layer."""


def sight_panel(subject: Subject) -> dict[str, Any]:
    """Numbers of the panel as plain JSON; `frames` are pictures as data URIs, one for each state of the map."""
    agent, states = subject.agent, subject.known_states()
    layers = activations(agent, states.obs)
    if not layers:
        return {"why_not": "the network has no activation of a kind that is known here"}
    chosen = np.linspace(0, len(states.value) - 1, CHOSEN).round().astype(int).tolist()
    features = layers[-1].out.detach().flatten(1)
    return {
        "chosen": chosen,
        "saliency": saliency(agent, {name: leaf[chosen] for name, leaf in states.obs.items()}),
        "layers": [_layer(op, k, chosen) for k, op in enumerate(layers)],
        "map": principal_map(features),
        "neighbours": rounded(tsne(features.double())),
        "value": [round(float(v), 4) for v in states.value],
        "followed": [None if np.isnan(x) else round(float(x), 4) for x in states.followed],
        "places": states.places,
        "field": receptive_field(agent, states.obs, layers),
        "frames": states.frames,
    }


def saliency(agent: Agent, obs: dict[str, Tensor]) -> dict[str, Any]:
    """The size of the value's gradient by each input (Simonyan et al. 2014): a map [H, W] or a bar a number."""
    floats = (n for n, leaf in obs.items() if leaf.is_floating_point())
    name = _picture(agent) or next(floats, None)
    if name is None:
        return {"why_not": "the observations are categories, which have no gradient"}
    source = obs[name].float().requires_grad_()
    (gradient,) = torch.autograd.grad(value_of(outputs(agent, {**obs, name: source})).sum(), source)
    if name != _picture(agent):
        return {"leaf": name, "bars": rounded(gradient.abs().flatten(1))}
    return {"leaf": name, "maps": rounded(_plane(gradient.abs(), agent.spec.obs[name].layout))}


def _picture(agent: Agent) -> str | None:
    """The leaf of the observation that is a plane of cells, if there is one."""
    return next((name for name, leaf in agent.spec.obs.items() if leaf.kind in ("image", "board")), None)


def _plane(size: Tensor, layout: str) -> Tensor:
    """[M, (S,) ...] to [M, H, W], summed over channels and frames, largest 1."""
    size = size.movedim(-1, -3) if layout == "HWC" else size
    heat = size.flatten(1, -3).sum(1) if size.dim() > 3 else size
    return heat / heat.amax((-2, -1), keepdim=True).clamp(min=1e-12)


def _layer(op: Operation, k: int, chosen: list[int]) -> dict[str, Any]:
    out = op.out.detach()[chosen]
    title = f"{op.name} {k + 1}: {' × '.join(map(str, out.shape[1:]))}"
    if out.dim() == 4:
        return {"title": title, "planes": rounded(out[:, :CHANNELS])}
    return {"title": title, "units": rounded(out.flatten(1)[:, :UNITS])}


def principal_map(features: Tensor) -> list[list[float]]:
    """The first two principal components of features [M, F], by SVD: [M, 2]."""
    centred = features.double() - features.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    both = u[:, :2] * s[:2]
    return rounded(torch.nn.functional.pad(both, (0, 2 - both.shape[1])))  # type: ignore[no-any-return]


def tsne(features: Tensor, perplexity: float = 30.0, rounds: int = 500) -> Tensor:
    """t-SNE of features [M, F], exact and without a random start (van der Maaten and Hinton 2008): [M, 2]."""
    count = len(features)
    square = torch.cdist(features, features).square()
    square = (square / square.mean().clamp(min=1e-12)).fill_diagonal_(torch.inf)
    low, high = torch.full((count, 1), -60.0), torch.full((count, 1), 60.0)
    for _ in range(50):  # bisect the logarithm of each state's precision until its neighbours are as many as wanted
        middle = (low + high) / 2
        p = torch.softmax(-middle.exp() * square, 1)
        many = torch.special.entr(p).sum(1, keepdim=True) > math.log(min(perplexity, (count - 1) / 3))
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    p = ((p + p.T) / (2 * count)).clamp(min=1e-12)
    y = torch.tensor(principal_map(features), dtype=p.dtype)
    y = 1e-2 * y / y.std().clamp(min=1e-12)
    speed = torch.zeros_like(y)
    for k in range(rounds):
        early = k < 100  # the paper's early exaggeration and its two momenta
        near = (1 / (1 + torch.cdist(y, y).square())).fill_diagonal_(0.0)
        pull = ((12.0 if early else 1.0) * p - near / near.sum()) * near
        gradient = 4 * (pull.sum(1, keepdim=True) * y - pull @ y)
        speed = (0.5 if early else 0.8) * speed - max(count / 12, 20.0) * gradient
        y = y + speed
    return y - y.mean(0)


def receptive_field(agent: Agent, obs: dict[str, Tensor], layers: list[Operation]) -> dict[str, Any]:
    """What the middle unit of the last convolution depends on: its mean gradient's size by pixel (Luo et al. 2016)."""
    name, spatial = _picture(agent), [k for k, op in enumerate(layers) if op.out.dim() == 4]
    if name is None or not spatial:
        return {"why_not": "without a convolution each unit of the first layer reads all inputs"}
    source = obs[name].float().double().requires_grad_()
    with in_double(agent):
        last = activations(agent, {**obs, name: source})[spatial[-1]].out
        channel = int(last.detach().mean((0, 2, 3)).argmax())
        unit = last[:, channel, last.shape[2] // 2, last.shape[3] // 2]
        (gradient,) = torch.autograd.grad(unit.sum(), source)
    heat = _plane(gradient.abs().sum(0, keepdim=True), agent.spec.obs[name].layout)[0]
    rows, columns = (torch.nonzero(heat.amax(d) > 0).flatten().tolist() for d in (1, 0))
    size = [rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1] if rows else [0, 0]
    return {"map": rounded(heat), "size": size, "of": list(heat.shape), "channel": channel}


def rounded(x: Tensor) -> Any:
    """Nested lists with three significant digits, which keeps the page small."""
    flat = [float(f"{v:.3g}") for v in x.detach().double().flatten().tolist()]
    return np.array(flat).reshape(x.shape).tolist()
