"""A run as `rl explain` reads it: its agent with replay and optimizer, and what is missing. It writes nothing."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import agents
import envs
from agents.base import Agent
from rl import checkpoint
from rl.errors import InputError, RunError
from rl.interface import Env, EnvSpec
from runs.folder.run_folder import resolve as locate
from runs.folder.trust import Trust
from runs.recipe import Run, from_document
from runs.training.evaluation import loaded_config, put_back, restore


class NotShown(Exception):
    """What a panel needs and this agent lacks; the page says so."""


@dataclass
class Subject:
    """One run to explain. If `batch` or `states` is None, `why_no_batch` or `why_no_states` says why."""

    name: str
    run: Run
    agent: Agent
    checkpoints: dict[int, Path]  # the folders of the good ones by step
    missing: list[str] = field(default_factory=list)  # one sentence for each thing that the folder lacks
    batch: Any = None  # of the next update
    weight: Tensor | None = None  # of the batch's rows, [B]
    why_no_batch: str = ""
    states: Any = None  # `runs.explaining.sight.States` that all panels read
    why_no_states: str = ""
    until: float = float("inf")  # when the panels of this run should be done, by `time.monotonic`

    def known_states(self) -> Any:
        """The states of new games. Raises `NotShown` if none could be played."""
        if self.states is None:
            raise NotShown(self.why_no_states)
        return self.states

    @classmethod
    def open(cls, path: str | Path, trust: Trust = False) -> Subject:
        """Reads a run folder or a checkpoint. Raises `InputError` if there is no good checkpoint, or no trust."""
        found = locate(path)
        run = from_document(found.manifest["extra"], found.checkpoint / "manifest.json", trust)
        run = dataclasses.replace(run, agent=loaded_config(run, found))
        agent = build(run, envs.spec(run.env, run.env_config))
        name = (found.run or found.checkpoint).resolve().name
        subject = cls(name, run, agent, {found.manifest["step"]: found.checkpoint}, list(found.skipped))
        subject._restore(found.manifest["step"])
        if found.run is not None:
            subject._find_checkpoints(found.run)
        return subject

    def _find_checkpoints(self, root: Path) -> None:
        for step, path in checkpoint.checkpoints(root).items():
            with contextlib.suppress(checkpoint.CheckpointError):
                if step < self.agent.step and checkpoint.verify(path, "skip"):
                    self.checkpoints[step] = path
        self.checkpoints = dict(sorted(self.checkpoints.items()))
        if len(self.checkpoints) < 4:
            self.missing.append(
                f"Checkpoints of {self.name}: {len(self.checkpoints)}; the untrained network is made from the seed. "
                "Train with `--set snapshots=10` to see more of the training."
            )

    def _restore(self, step: int) -> None:
        """The agent as the run would go on with it, or what is left of it, and the batch of its next update."""
        try:
            restore(self.agent, self.checkpoints[step])
        except (InputError, RunError, OSError) as error:
            self.missing.append(
                f"{self.name}: replay, optimizer and target network cannot be read ({error}): rows of new games stand "
                "in for the replay, and the optimizer begins anew."
            )
            self.agent = self.at(step)
            self._play_rows()
        with contextlib.suppress(NotImplementedError):
            self.batch, self.weight = self.agent.next_update() or (None, None)
        if self.batch is None:
            self.why_no_batch = (
                f"{agents.title(self.run.agent)} has no single loss of one batch: a table learns entry by entry, "
                "and an agent of your own names its loss by Agent.next_update and Agent.objective"
            )

    def _play_rows(self, rows: int = 300) -> None:
        """Fills an empty replay with the agent's own play."""
        with contextlib.closing(new_games(self.run, self.run.num_envs)) as env:
            ts = env.reset()
            for _ in range(min(rows, self.agent.replay.slots)):
                self.agent.observe(ts)
                ts = env.step(self.agent.act(ts))

    def share_batch(self, first: Subject) -> None:
        """Takes the other run's batch, if both losses read the same kind of batch from equal observations."""
        ours, theirs = ((a.spec.obs, a.spec.action, a.stack) for a in (self.agent, first.agent))
        if ours == theirs:
            self.states, self.why_no_states = first.states, first.why_no_states
        if ours == theirs and type(self.batch) is type(first.batch) and self.batch is not None:
            self.batch, self.weight = first.batch, first.weight
        elif self.batch is not None or first.batch is not None:
            self.missing.append(f"{self.name} has a batch of its own: that of {first.name} is of another kind.")

    @property
    def title(self) -> str:
        return f"{agents.title(self.run.agent)} on {self.run.env}, {self.agent.step:,} steps"

    def at(self, step: int) -> Agent:
        """The agent as the checkpoint of `step` has it, with its target networks; step 0 is made from the seed."""
        agent = build(self.run, self.agent.spec)
        if step:
            put_back(agent, self.checkpoints[step])
            with contextlib.suppress(InputError, RunError, OSError):  # a checkpoint without what learning needs
                saved = checkpoint.load_tree(self.checkpoints[step], "learner")
                saved = saved.get("targets", {"": saved.get("target")})
                for name, target in targets(agent).items():
                    target.load_state_dict(saved[name])
        return agent

    def steps(self, most: int = 9) -> list[int]:
        """The untrained network and up to `most` checkpoints, at most 9, evenly chosen, the newest always."""
        there = [step for step in self.checkpoints if step] or list(self.checkpoints)  # some runs save step 0 too
        return [0, *(there[round(k)] for k in np.linspace(len(there) - 1, 0, min(most, 9, len(there)))[::-1])]

    def through_training(self, seconds: float) -> Iterator[Agent]:
        """The untrained agent, then as many checkpoints as fit into `seconds` by the time that the first one took."""
        begun = time.monotonic()
        yield self.at(0)
        yield from map(self.at, self.steps(max(1, int(seconds / (time.monotonic() - begun)) - 1))[1:])


def build(run: Run, spec: EnvSpec) -> Agent:
    """The agent of a run before its training, on the CPU."""
    return agents.build(run.agent, spec, num_envs=run.num_envs, seed=run.seed, device="cpu")  # type: ignore[no-any-return]


def new_games(run: Run, count: int, pictures: bool = False) -> Env:
    """The run's environments with games that no other stream has."""
    return envs.make(run.env, num_envs=count, seed=run.seed, stream="explain", config=run.env_config, render=pictures)


def targets(agent: Agent) -> dict[str, torch.nn.Module]:
    """The target networks, by the name of the part of the network that they follow; "" is all of it."""
    parts = {name: copied.module for name, copied in getattr(agent, "targets", {}).items()}
    return {"": agent.target} if hasattr(agent, "target") else parts


def copied(agent: Agent) -> Agent:
    """The agent with weights of its own to change; the replay is shared."""
    return copy.deepcopy(agent, {id(agent.replay): agent.replay})


def in_double(agent: Agent) -> Agent:
    """A copy of the agent whose networks and tensors are float64."""
    other = copied(agent)
    for network in other.networks():
        network.double()
    vars(other).update(doubled(vars(other)))
    return other


def doubled(x: Any) -> Any:
    """A batch (NamedTuple), dict or tensor with float32 as float64; anything else as it is."""
    if isinstance(x, Tensor):
        return x.double() if x.dtype == torch.float32 else x
    if isinstance(x, dict):
        return {name: doubled(value) for name, value in x.items()}
    return x._replace(**{name: doubled(v) for name, v in x._asdict().items()}) if hasattr(x, "_replace") else x
