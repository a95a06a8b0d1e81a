"""The greedy policy of a run as one graph of tensors, and the observations that an exported file is checked on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import envs
from agents.base import Agent
from rl.errors import InputError
from rl.frame_stack import FrameStack
from rl.networks.heads import set_noise
from rl.seeding import generator
from rl.storage import rename
from runs.folder.trust import Trust
from runs.recipe import Run
from runs.training.evaluation import game_config, load_run

OBSERVATIONS = 1_000
"""On which a file is compared with the agent before it is kept."""
TOLERANCE = 1e-4
"""Largest difference of a number, relative to the largest number of its kind if that is above 1."""
STATE, MASK = "state", "action_mask"
_ENVS = 8
_RANDOM = 0.2
"""Share of random legal actions in the recorded games, so that they do not all show the same."""


class Deployed(nn.Module):
    """Inputs [N, ...] in the order of `inputs` to outputs in the order of `outputs`: the environment's action first.

    Inputs: the observation's leaves as the suite stores them (bytes stay bytes; [N, S, *shape] for S stacked frames,
    oldest first); `action_mask` if the environment has one; `state` if the network is recurrent, zero where an episode
    begins. Outputs: `action`, the numbers behind it, and `next_state`.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        if not type(agent).choose.__module__.startswith("agents."):
            raise InputError(f"{agent.name} chooses in its own way (`choose`), which cannot be exported")
        if type(agent).greedy is Agent.greedy:
            agent.greedy({}, None, None)  # says why
        self.agent, self.network = agent, agent.network.requires_grad_(False)
        set_noise(self.network, False)
        left_out = {name: 0 for name in ("eval_epsilon", "eval_simulations") if hasattr(agent.config, name)}
        agent.config = dataclasses.replace(agent.config, **left_out)  # no random actions, no search
        if getattr(self.network, "bf16", False):
            self.network.bf16 = False  # type: ignore[assignment]  # the file computes in float32
        state = [STATE] if agent.state_size else []
        self.inputs = [*agent.spec.obs, *([MASK] if agent.spec.masked else []), *state]
        self.outputs: list[str] = []
        """Known after the first call."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.inputs, inputs, strict=True))
        out = self.agent.greedy({name: given[name] for name in self.agent.spec.obs}, given.get(MASK), given.get(STATE))
        self.outputs = ["action", *out.numbers, *(["next_state"] if out.state is not None else [])]
        action, spec = out.action, self.agent.spec.action
        if spec.kind == "box":
            action = action.clamp(torch.tensor(spec.low).float(), torch.tensor(spec.high).float())
            action = action.round() if np.dtype(spec.space_dtype or spec.dtype).kind in "biu" else action
        elif spec.start:
            action = action + torch.tensor(spec.start).reshape(spec.shape)
        return (action, *out.numbers.values(), *([] if out.state is None else [out.state]))

    def description(self, run: Run) -> dict[str, Any]:
        """What a program that runs the file must know, as plain JSON."""
        leaves = {
            name: {"shape": list(leaf.shape), "dtype": leaf.dtype, "kind": leaf.kind, "counts_from": list(leaf.start)}
            for name, leaf in self.agent.spec.obs.items()
        }
        return {
            "env": run.env,
            "agent": self.agent.name,
            "step": self.agent.step,
            "protocol": self.agent.spec.protocol,
            "stack": self.agent.stack,
            "observation": leaves,
            "action": self.agent.spec.action.kind,
            "inputs": self.inputs,
            "outputs": self.outputs,
        }


class Recorded(NamedTuple):
    """R rows of played games: the graph's inputs and outputs, and the agent's own actions."""

    inputs: list[np.ndarray]  # each [R, ...]
    outputs: list[np.ndarray]  # each [R, ...]
    actions: np.ndarray
    """[R] or [R, K]: the environment's actions that the agent's `predict` and evaluation take, by its own acting code,
    which shares nothing with the graph but the weights."""


def deploy(path: str | Path, trust: Trust) -> tuple[Deployed, Run, Recorded]:
    """The graph of a run's policy, the run, and the rows to check a file with."""
    agent, run = load_run(path, device="cpu", trust=trust)
    model = Deployed(agent).eval()
    return model, run, record(model, run)


def record(model: Deployed, run: Run, rows: int = OBSERVATIONS) -> Recorded:
    """Plays the run's own environment, with some random actions, and keeps what the graph and the agent answer.

    Last rows of games are left out, since nobody acts there.
    """
    agent, spec = model.agent, model.agent.spec
    count = min(_ENVS, rows)
    env = envs.make(run.env, num_envs=count, seed=run.seed, stream="export", config=game_config(run, spec))
    frames, rng = FrameStack(spec, count, agent.stack), generator(run.seed, "export")
    actor, state = agent.actor(count, run.seed), torch.zeros(count, agent.state_size)
    kept: list[tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]] = []
    try:
        ts = env.reset()
        while sum(len(row[2][0]) for row in kept) < rows:
            obs = frames.push(ts.obs, ts.first)
            state = state.masked_fill(torch.tensor(ts.first)[:, None], 0.0)
            extra = [] if ts.mask is None else [ts.mask]
            inputs = [*(obs[name].copy() for name in spec.obs), *extra, *([state.numpy()] if agent.state_size else [])]
            with torch.no_grad():
                outputs = model(*map(torch.from_numpy, inputs))
            state = outputs[-1] if agent.state_size else state
            chosen = actor.act(ts)
            set_noise(model.network, False)  # acting turns it on again
            action = spec.action.to_space(chosen).reshape(outputs[0].shape)
            going = ~ts.last
            kept.append(([x[going] for x in inputs], [x.numpy()[going] for x in outputs], [action[going]]))
            ts = env.step(_played(action, spec, ts.mask, rng))
    finally:
        env.close()
    given, found, actions = (
        [np.concatenate(column)[:rows] for column in zip(*side, strict=True)] for side in zip(*kept, strict=True)
    )
    return Recorded(given, found, actions[0])


def _played(action: np.ndarray, spec: Any, mask: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """The environment's actions in the agent's own units, some of them replaced by random ones."""
    random = rng.random(len(action)) < _RANDOM
    if spec.action.kind == "box":
        shaken = action + rng.normal(size=action.shape).astype(np.float32)
        return np.where(random[:, None], np.clip(shaken, spec.action.low, spec.action.high).astype(np.float32), action)
    action = action - np.array(spec.action.start or 0, np.int64).reshape(-1 if spec.action.shape else ())
    if spec.action.kind != "discrete":
        return action if mask is not None else np.where(random[:, None], rng.integers(spec.action.nvec), action)
    legal = np.ones((len(action), spec.action.logits), bool) if mask is None else mask | ~mask.any(1, keepdims=True)
    drawn = (legal * rng.random(legal.shape)).argmax(1)
    return np.where(random, drawn, action)


class Parity(NamedTuple):
    """How well a file agrees with the agent."""

    observations: int
    same_actions: int
    ties: int
    """Other actions whose numbers lie within the tolerance of the best."""
    largest_difference: float
    """Of any number, relative to the largest of its kind if that is above 1."""

    @property
    def holds(self) -> bool:
        return self.same_actions + self.ties == self.observations and self.largest_difference <= TOLERANCE


def compare(model: Deployed, rows: Recorded, run: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Parity:
    """Compares a file's outputs, computed by `run` in batches of several sizes: its actions with those that the agent
    took, its numbers with the graph's.
    """
    total, cuts = len(rows.outputs[0]), (1, 3, 128)
    starts = np.minimum([0, *np.cumsum(cuts), *range(sum(cuts) + 200, total, 200), total], total).tolist()
    parts = [_shaped(run([x[a:b] for x in rows.inputs]), b - a, rows) for a, b in pairwise(starts) if b > a]
    found = [np.concatenate(column) for column in zip(*parts, strict=True)]
    numbers = list(zip(found[1:], rows.outputs[1:], strict=len(found) > 1))  # some files have no numbers
    worst = max((_difference(a, b) for a, b in numbers), default=0.0)
    action, wanted = found[0], rows.actions
    if model.agent.spec.action.kind == "box":
        scale = max(1.0, float(np.abs(wanted).max()))
        same = (np.abs(action - wanted) <= TOLERANCE * scale).all(1)
        return Parity(total, int(same.sum()), 0, max(worst, _difference(action, wanted)))
    same = (action == wanted).reshape(total, -1).all(1)
    tied = ~same & _tied(model, rows, action)
    return Parity(total, int(same.sum()), int(tied.sum()), worst)


def _shaped(found: list[np.ndarray], count: int, rows: Recorded) -> list[np.ndarray]:
    """A file's outputs on `count` observations. Raises `InputError` if their shapes are not those of the graph's.

    Files of some formats have the action alone.
    """
    shapes = [np.shape(x) for x in found]
    wanted = [(count, *x.shape[1:]) for x in rows.outputs]
    if shapes not in (wanted, wanted[:1]):
        raise InputError(f"the file's outputs have the shapes {shapes} on {count} observations, not {wanted}")
    return found


def _tied(model: Deployed, rows: Recorded, action: np.ndarray) -> np.ndarray:
    """Which discrete actions [R] are as good as the best one, within the tolerance."""
    if model.agent.spec.action.kind != "discrete":
        return np.zeros(len(action), bool)
    start = model.agent.spec.action.start[0] if model.agent.spec.action.start else 0
    values, row = rows.outputs[1], np.arange(len(action))
    exists = np.isin(action - start, np.arange(values.shape[1]))
    action = np.where(exists, action, rows.actions).astype(np.int64)
    scale = max(1.0, float(np.abs(values[values > -1e29]).max(initial=0.0)))
    allowed = rows.inputs[model.inputs.index(MASK)][row, action - start] if MASK in model.inputs else True
    gap = values[row, rows.actions - start] - values[row, action - start]
    return (np.abs(gap) <= TOLERANCE * scale) & allowed & exists


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    if not a.size:
        return 0.0
    if not np.isfinite(a).all():
        return float("inf")
    apart = np.abs(a.astype(np.float64) - b)
    return float((apart / max(1.0, float(np.abs(b[b > -1e29]).max(initial=0.0)))).max())


Opened = Callable[[list[np.ndarray]], list[np.ndarray]]
"""A file that was read, as a function of its inputs."""


def checked(
    model: Deployed, run: Run, rows: Recorded, file: Path, save: Callable[[Path], None], read: Callable[[Path], Opened]
) -> dict[str, Any]:
    """Writes a file beside its final place, compares it with the agent, and puts it in place if both agree.

    `save` writes it and `read` reads it. Raises `InputError` otherwise.
    """
    temporary = file.with_name(f".{file.stem}.{os.getpid()}.new{file.suffix}")  # torch warns at other suffixes
    try:
        save(temporary)
        parity = compare(model, rows, read(temporary))
        if not parity.holds:
            raise InputError(
                f"{file} was not written: on {parity.observations:,} observations it took the agent's action "
                f"{parity.same_actions:,} times, and its numbers differ by up to {parity.largest_difference:.2g}"
            )
        rename(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return {**model.description(run), "parity": parity._asdict()}
