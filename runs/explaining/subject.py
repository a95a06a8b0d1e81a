"""A run as `rl explain` reads it: its agent with replay and moments of the optimizer, and what is missing.

Everything is read into this process; the run's folder is never written.
"""

from __future__ import annotations

import contextlib
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
from rl.interface import EnvSpec
from rl.segments import SegmentStore
from runs.folder.run_folder import resolve as locate
from runs.folder.trust import Trust
from runs.recipe import Run, from_document
from runs.training.evaluation import put_back


class NotShown(Exception):
    """What a panel needs and this agent lacks; the page says so."""


@dataclass
class Subject:
    """One run to explain."""

    name: str
    run: Run
    agent: Agent
    checkpoints: dict[int, Path]
    """The folders of the good checkpoints by step."""
    missing: list[str] = field(default_factory=list)
    """One sentence for each thing that the folder lacks."""
    batch: Any = None
    """The batch of the next update; None if there is none, `why_no_batch` says why."""
    weight: Tensor | None = None
    why_no_batch: str = ""
    states: Any = None
    """`runs.explaining.states.States` that all panels read; None if there are none, `why_no_states` says why."""
    why_no_states: str = ""
    until: float = float("inf")
    """When the panels of this run should be done, by `time.monotonic`."""

    def known_states(self) -> Any:
        """The states of new games. Raises `NotShown` if none could be played."""
        if self.states is None:
            raise NotShown(self.why_no_states)
        return self.states

    def left(self, share: float = 1.0) -> float:
        """Seconds of a share of the time that is left."""
        return share * max(0.0, self.until - time.monotonic())

    @classmethod
    def open(cls, path: str | Path, trust: Trust = False) -> Subject:
        """Reads a run folder or a checkpoint. Raises `InputError` if there is no good checkpoint, or no trust."""
        found = locate(path)
        run = from_document(found.manifest["extra"], found.checkpoint / "manifest.json", trust)
        agent = build(run, envs.spec(run.env, run.env_config))
        put_back(agent, found.checkpoint)
        name = (found.run or found.checkpoint).resolve().name
        subject = cls(name, run, agent, {found.manifest["step"]: found.checkpoint}, list(found.skipped))
        if found.run is not None:
            subject._find_checkpoints(found.run, found.checkpoint)
        subject._restore_learner(found.checkpoint, found.manifest)
        return subject

    def _find_checkpoints(self, root: Path, newest: Path) -> None:
        for step, path in checkpoint.checkpoints(root).items():
            with contextlib.suppress(checkpoint.CheckpointError):
                checkpoint.verify(path, "skip")
                if path.resolve() == newest.resolve() or step < self.agent.step:
                    self.checkpoints[step] = path
        self.checkpoints = dict(sorted(self.checkpoints.items()))
        if len(self.checkpoints) < 4:
            self.missing.append(
                f"Checkpoints of {self.name}: {len(self.checkpoints)}; the untrained network is made from the seed. "
                "Train with `--set snapshots=10` to see more of the training."
            )

    def _restore_learner(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Replay, target network and optimizer, as the run would go on with them; without them what is left."""
        try:
            for start, stop, rows in SegmentStore(folder.parent.parent, manifest["segments"]):
                self.agent.replay.restore(start, stop, rows)
            with checkpoint.putting_back(folder):
                self.agent.load_learner_state(checkpoint.load_tree(folder, "learner"))
        except (InputError, RunError, OSError) as error:
            self.missing.append(
                f"{self.name}: replay, optimizer and target network cannot be read ({error}): rows of new games stand "
                "in for the replay, and the optimizer begins anew."
            )
            self.agent = build(self.run, self.agent.spec)
            put_back(self.agent, folder)
            self._play_rows()
        try:
            update = self.agent.next_update()
        except NotImplementedError:
            update = None
        if update is None:
            self.why_no_batch = (
                f"{agents.title(self.run.agent)} has no single loss of one batch: a table learns entry by entry, "
                "and an agent of your own names its loss by Agent.next_update and Agent.objective"
            )
        else:
            self.batch, self.weight = update

    def _play_rows(self, rows: int = 300) -> None:
        """Fills an empty replay with the agent's own play."""
        run = self.run
        env = envs.make(run.env, num_envs=run.num_envs, seed=run.seed, stream="explain", config=run.env_config)
        try:
            ts = env.reset()
            for _ in range(min(rows, self.agent.replay.slots)):
                self.agent.observe(ts)
                ts = env.step(self.agent.act(ts))
        finally:
            env.close()

    def share_batch(self, first: Subject) -> None:
        """Takes the other run's batch, if both losses read the same kind of batch from equal observations."""
        ours, theirs = self.agent, first.agent
        alike = ours.spec.obs == theirs.spec.obs and ours.spec.action == theirs.spec.action
        if alike and type(self.batch) is type(first.batch) and ours.stack == theirs.stack and self.batch is not None:
            self.batch, self.weight = first.batch, first.weight
        else:
            self.missing.append(f"{self.name} has a batch of its own: that of {first.name} is of another kind.")
        if alike and ours.stack == theirs.stack:
            self.states, self.why_no_states = first.states, first.why_no_states

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
        """The untrained network and up to `most` checkpoints, evenly chosen, the newest always."""
        there = list(self.checkpoints)
        return [0, *(there[round(k)] for k in np.linspace(len(there) - 1, 0, min(most, len(there)))[::-1])]


def build(run: Run, spec: EnvSpec) -> Agent:
    """The agent of a run before its training, on the CPU."""
    return agents.build(run.agent, spec, num_envs=run.num_envs, seed=run.seed, device="cpu")  # type: ignore[no-any-return]


def targets(agent: Agent) -> dict[str, torch.nn.Module]:
    """The target networks, by the name of the part of the network that they follow; "" is all of it."""
    parts = {name: copied.module for name, copied in getattr(agent, "targets", {}).items()}
    return {"": agent.target} if hasattr(agent, "target") else parts


@contextlib.contextmanager
def in_double(agent: Agent) -> Iterator[None]:
    """Within, the agent's networks and tensors are float64; afterwards they hold the same memory as before."""
    own = [x for network in agent.networks() for x in (*network.parameters(), *network.buffers())]
    before = [(x, x.data) for x in own if x.dtype == torch.float32]
    tensors = {name: value for name, value in vars(agent).items() if isinstance(value, Tensor)}
    try:
        for x, data in before:
            x.data = data.double()
        for name, value in tensors.items():
            setattr(agent, name, doubled(value))
        yield
    finally:
        for x, data in before:
            x.data = data
        for name, value in tensors.items():
            setattr(agent, name, value)


def doubled(x: Any) -> Any:
    """A batch (NamedTuple), dict or tensor with float32 as float64; anything else as it is."""
    if isinstance(x, Tensor):
        return x.double() if x.dtype == torch.float32 else x
    if isinstance(x, dict):
        return {name: doubled(value) for name, value in x.items()}
    return x._replace(**{name: doubled(v) for name, v in x._asdict().items()}) if hasattr(x, "_replace") else x
