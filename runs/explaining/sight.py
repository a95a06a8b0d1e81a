"""What the network sees: states of new games, activations, saliency, a map of states, a unit's receptive field."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import Agent, as_tensors
from agents.predict import first_row
from rl.frame_stack import FrameStack
from rl.interface import TimeStep
from rl.returns import lambda_returns
from runs.explaining.subject import NotShown, Subject, doubled, in_double, new_games
from runs.explaining.tape import Operation, Tape
from runs.recipe import Run

ACTIVATIONS = ("relu", "tanh", "elu", "silu")
GAMES, ROWS, KEPT = 4, 400, 240  # games at once, most rows of each, and states that are kept of all
FEWEST = 40  # rows that are played even if the time is over
KNOWN = 0.05  # largest weight of rewards after the last row with which a return counts as known
CHOSEN = 6  # states whose saliency and activations are shown
CHANNELS, UNITS = 12, 128  # that are shown of a layer


def sight_panel(subject: Subject) -> dict[str, Any]:
    """Numbers of the panel as plain JSON; `frames` are pictures as data URIs, one for each state of the map."""
    agent, states = subject.agent, subject.known_states()
    layers = activations(agent, states.obs)
    if not layers:
        return {"why_not": "the network has no activation of a kind that is known here"}
    chosen = np.linspace(0, len(states.value) - 1, CHOSEN).round().astype(int).tolist()
    features = layers[-1].out.detach().flatten(1)
    return {
        "chosen": chosen, "saliency": saliency(agent, {name: leaf[chosen] for name, leaf in states.obs.items()}),
        "layers": [_layer(op, k, chosen) for k, op in enumerate(layers)],
        "map": principal_map(features), "neighbours": rounded(tsne(features.double())),
        "value": [round(float(v), 4) for v in states.value], "places": states.places,
        "followed": [None if np.isnan(x) else round(float(x), 4) for x in states.followed],
        "field": receptive_field(agent, states.obs, layers), "frames": states.frames,
    }  # fmt: skip


def saliency(agent: Agent, obs: dict[str, Tensor]) -> dict[str, Any]:
    """The size of the value's gradient by each input (Simonyan et al. 2014): a map [H, W] or a bar a number."""
    name = _picture(agent) or next((n for n, leaf in obs.items() if leaf.is_floating_point()), None)
    if name is None:
        return {"why_not": "the observations are categories, which have no gradient"}
    source = obs[name].float().requires_grad_()
    (gradient,) = torch.autograd.grad(value_of(outputs(agent, {**obs, name: source})).sum(), source)
    if _picture(agent) is None:
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
    kind, shown = ("planes", out[:, :CHANNELS]) if out.dim() == 4 else ("units", out.flatten(1)[:, :UNITS])
    return {"title": title, kind: rounded(shown)}


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
    y, speed = 1e-2 * y / y.std().clamp(min=1e-12), torch.zeros_like(y)
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


class States(NamedTuple):
    obs: dict[str, Tensor]  # [M, (S,) ...] as stored
    value: np.ndarray  # float [M]
    followed: np.ndarray  # float [M]: the discounted return; NaN if the game was cut too early to know it
    places: list[tuple[int, int]]  # (environment, row) of each
    frames: list[str]  # data URIs of pictures, empty without `pictures`


def play(run: Run, agent: Agent, seconds: float, pictures: bool = False) -> States:
    """Plays `GAMES` games at once for `ROWS` rows, or until the time is over, and keeps every few states."""
    until = time.monotonic() + seconds
    actor, frames = agent.actor(GAMES, run.seed, stream="explain"), FrameStack(agent.spec, GAMES, agent.stack)
    every, kept, shown = max(1, ROWS * GAMES // KEPT), list[dict[str, np.ndarray]](), list[str]()
    values, after = [], list[TimeStep]()
    with contextlib.closing(new_games(run, GAMES, pictures)) as env:
        ts = env.reset()
        for t in range(ROWS):
            if t >= FEWEST and time.monotonic() > until:
                break
            obs, action = frames.push(ts.obs, ts.first), actor.act(ts)
            values.append(value_of(actor.output).detach().numpy().astype(float).reshape(GAMES))
            if t % every == 0:
                kept.append({name: np.array(leaf) for name, leaf in obs.items()})
                shown += [picture(p) for p in env.render()] if pictures else []
            ts = env.step(action)
            after.append(ts)
    return States(
        as_tensors({name: np.concatenate([obs[name] for obs in kept]) for name in kept[0]}, agent.device),
        np.concatenate(values[::every]),
        returns_that_followed(after, agent.config)[::every].reshape(-1),
        [(i, t) for t in range(0, len(after), every) for i in range(GAMES)],
        shown,
    )


def returns_that_followed(after: list[TimeStep], config: Any) -> np.ndarray:
    """The discounted return from each row on, [T, N]; NaN if it is not `KNOWN`. `after[t]` is the row after row t."""
    gamma, clip = float(getattr(config, "gamma", 0.99)), getattr(config, "reward_clip", None)
    rows = [after[0], *after]  # row 0 is not read
    reward, discount, first = (
        torch.from_numpy(np.stack([getattr(ts, name) for ts in rows])) for name in ("reward", "discount", "first")
    )
    reward = reward.double() if clip is None else reward.double().clamp(-clip, clip)
    total = lambda_returns(reward, discount, first, torch.zeros_like(reward), gamma, 1.0)
    open_ = lambda_returns(torch.zeros_like(reward), discount, first, torch.ones_like(reward), gamma, 1.0)
    return torch.where(first[1:] | (open_ > KNOWN), torch.nan, total).numpy()


def outputs(agent: Agent, obs: dict[str, Tensor]) -> Any:
    """The network's named output for observations [M, ...], each seen alone. Raises `NotShown` if there is none."""
    require_layers(agent)
    size = len(next(iter(obs.values())))
    actor = agent.actor(size, 0, stream="explain")
    actor.memory = actor.memory.to(next(agent.network.parameters()).dtype)
    try:
        with torch.enable_grad():
            return agent.choose(actor, obs, first_row(agent.spec, {}, np.ones(size, bool))).output
    except NotImplementedError as error:  # a table answers without tensors
        raise NotShown("it acts without a network of layers") from error


def require_layers(agent: Agent) -> None:
    """Raises `NotShown` for an agent that searches, whose games would take long and show nothing, or has no weights."""
    if hasattr(agent, "plan"):
        raise NotShown("its actions come from a search, not from one pass of a network")
    if not list(agent.network.parameters()):
        raise NotShown("it has no network with weights")


def value_of(output: Any) -> Tensor:
    """The value of each state: the critic's, or that of the best action. Raises `NotShown` if there is neither."""
    if hasattr(output, "q_values"):
        return output.q_values.max(-1).values
    if not isinstance(getattr(output, "value", None), Tensor):
        raise NotShown("what this agent's `choose` outputs has neither q_values nor a value")
    return output.value  # type: ignore[no-any-return]


def activations(agent: Agent, obs: dict[str, Tensor]) -> list[Operation]:
    """The activations that the network computes for `obs`, in order; float64."""
    with Tape() as tape:
        outputs(in_double(agent), doubled(obs))
    found = [op for op in tape.operations if op.name in ACTIVATIONS]
    for op in found:
        if op.out.dim() > 2 and len(op.out) == 1:  # [1, M, ...]: the one row of a network with memory
            op.out = op.out.flatten(0, 1)
    return [op for op in found if len(op.out) == len(next(iter(obs.values())))]  # not IQN's embedding of its fractions


def picture(frame: np.ndarray, width: int = 112) -> str:
    """A picture uint8 [H, W, 3] as a small data URI."""
    from PIL import Image

    image, out = Image.fromarray(frame), io.BytesIO()
    image.resize((width, max(1, width * image.height // image.width))).save(out, "WEBP", quality=60)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
