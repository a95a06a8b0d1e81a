"""States of new games that an agent plays greedily: what the network saw, valued and got."""

from __future__ import annotations

import base64
import io
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import envs
from agents.base import Agent, as_tensors
from rl.frame_stack import FrameStack
from rl.interface import TimeStep
from runs.explaining.subject import NotShown, doubled, in_double
from runs.explaining.tape import Operation, Tape
from runs.recipe import Run

ACTIVATIONS = ("relu", "tanh", "elu", "silu")
GAMES, ROWS, KEPT = 4, 400, 240
"""Games at once, most rows of each, and states that are kept of all."""
FEWEST = 40
"""Rows that are played even if the time is over."""
KNOWN = 0.05
"""Largest weight of rewards after the last row with which a return counts as known."""


class States(NamedTuple):
    obs: dict[str, Tensor]  # [M, (S,) ...] as stored
    value: np.ndarray  # float [M]
    followed: np.ndarray  # float [M]: the discounted return; NaN if the game was cut too early to know it
    places: list[tuple[int, int]]  # (environment, row) of each
    frames: list[str]  # data URIs of pictures, empty without `pictures`


def play(run: Run, agent: Agent, seconds: float, pictures: bool = False) -> States:
    """Plays `GAMES` games at once for `ROWS` rows, or until the time is over, and keeps every few states."""
    until = time.monotonic() + seconds
    env = envs.make(run.env, num_envs=GAMES, seed=run.seed, stream="explain", config=run.env_config, render=pictures)
    actor, frames = agent.actor(GAMES, run.seed, stream="explain"), FrameStack(agent.spec, GAMES, agent.stack)
    every, kept, shown = max(1, ROWS * GAMES // KEPT), list[dict[str, np.ndarray]](), list[str]()
    values, after = [], list[TimeStep]()
    try:
        ts = env.reset()
        for t in range(ROWS):
            if t >= FEWEST and time.monotonic() > until:
                break
            obs = frames.push(ts.obs, ts.first)
            action = actor.act(ts)
            values.append(value_of(actor.output).detach().numpy().astype(float).reshape(GAMES))
            if t % every == 0:
                kept.append({name: np.array(leaf) for name, leaf in obs.items()})
                shown += [picture(p) for p in env.render()] if pictures else []
            ts = env.step(action)
            after.append(ts)
    finally:
        env.close()
    followed = returns_that_followed(after, agent.config)
    times = range(0, len(after), every)
    return States(
        as_tensors({name: np.concatenate([obs[name] for obs in kept]) for name in kept[0]}, agent.device),
        np.concatenate([values[t] for t in times]),
        np.concatenate([followed[t] for t in times]),
        [(i, t) for t in times for i in range(GAMES)],
        shown,
    )


def returns_that_followed(after: list[TimeStep], config: Any) -> np.ndarray:
    """The discounted return from each row on, [T, N]; NaN if it is not `KNOWN`. `after[t]` is the row after row t."""
    gamma, clip = float(getattr(config, "gamma", 0.99)), getattr(config, "reward_clip", None)
    total, open_ = np.zeros(len(after[0].reward)), np.ones(len(after[0].reward))
    found = np.full((len(after), len(total)), np.nan)
    for t in reversed(range(len(after))):
        ts = after[t]
        reward = ts.reward if clip is None else np.clip(ts.reward, -clip, clip)
        total = np.where(ts.first, 0.0, reward + gamma * ts.discount * total)
        open_ = np.where(ts.first, 1.0, gamma * ts.discount * open_)
        found[t] = np.where(ts.first | (open_ > KNOWN), np.nan, total)
    return found


def outputs(agent: Agent, obs: dict[str, Tensor]) -> Any:
    """The network's named output for observations [M, ...], each seen alone. Raises `NotShown` if there is none."""
    require_layers(agent)
    size = len(next(iter(obs.values())))
    zeros = np.zeros(size, np.float32)
    alone = TimeStep({}, None, zeros, zeros, zeros + 1, np.ones(size, bool), np.zeros(size, bool), {})
    actor = agent.actor(size, 0, stream="explain")
    actor.memory = actor.memory.to(next((p.dtype for p in agent.network.parameters()), torch.float32))
    try:
        with torch.enable_grad():
            return agent.choose(actor, obs, alone).output
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
    with in_double(agent):
        tape = Tape()
        with tape:
            outputs(agent, doubled(obs))
    found = [op for op in tape.operations if op.name in ACTIVATIONS]
    for op in found:
        if op.out.dim() > 2 and len(op.out) == 1:  # [1, M, ...]: the one row of a network with memory
            op.out = op.out.flatten(0, 1)
    return found


def picture(frame: np.ndarray, width: int = 112) -> str:
    """A picture uint8 [H, W, 3] as a small data URI."""
    from PIL import Image

    image, out = Image.fromarray(frame), io.BytesIO()
    image.resize((width, max(1, width * image.height // image.width))).save(out, "WEBP", quality=60)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
