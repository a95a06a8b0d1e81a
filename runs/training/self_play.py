"""Self-play of a board game's training: the learner is its own opponent, in one game of five an earlier self is.

The opponent acts with the learner's present weights, drawing its actions as the agent does when it samples. At steps
that grow by a quarter each time, the agent of the moment is kept as a generation in the run folder, where `rl league`
and `rl play` find it. Every 10,000 steps one of the newest ten generations becomes the earlier self. None of this
depends on the budget, so that a run which is given more steps equals one that had them from the start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import agents
from agents.base import Actor, Agent
from agents.predict import first_row
from envs.boards import plays_itself
from rl import checkpoint
from rl.errors import InputError
from rl.interface import Env
from rl.schedules import crossed
from rl.seeding import generator, generator_state, restore_generator
from runs.folder.trust import signature
from runs.recipe import Run, describe
from runs.training.evaluation import put_back

DUE = [round(1000 * 1.25**k) for k in range(80)]
"""Steps after which a generation is kept."""
NEWEST = 10
"""Generations from which the earlier self is drawn."""
PERIOD = 10_000
"""Steps after which another earlier self is drawn."""


def self_play(run: Run, agent: Agent, env: Env) -> SelfPlay | None:
    """The opponent of a training whose environment has the option opponent="self", attached to it; else None."""
    if not plays_itself(run.env_config.options.get("opponent")):
        return None
    opponent = SelfPlay(run, agent)
    env.face(opponent)  # type: ignore[attr-defined]  # streams have it
    return opponent


class SelfPlay:
    """Moves for the opponent in the games of a training."""

    folder: Path
    """Of the generations; set once the run has a folder."""

    def __init__(self, run: Run, agent: Agent) -> None:
        if agent.stack > 1 or agent.state_size:
            raise InputError("self-play needs an agent without frame stack and memory: set stack=1 and net.core=none")
        self._run, self._agent = run, agent
        self._steps: list[int] = []
        self._past_step: int | None = None
        self._past = agents.build(agent.config, agent.spec, num_envs=1, seed=run.seed, device=str(agent.device))
        self._actors = [one.actor(1, run.seed, stream="opponent", sample=True) for one in (agent, self._past)]
        self._rng = generator(run.seed, "earlier self")

    def __call__(self, game: Any, mask: np.ndarray) -> np.ndarray:
        """Actions int64 [N] of the players to move in the masked positions of a `Game`."""
        actions = np.zeros(game.num, np.int64)
        observations, legal = game.observe()
        past = mask & game.rows["past"] & (self._past_step is not None)
        for actor, which in zip(self._actors, (mask & ~past, past), strict=True):
            if which.any():
                actions[which] = _act(actor, observations[which], legal[which])
        return actions

    def keep(self, before: int, step: int) -> None:
        """Keeps the agent as a generation and draws another earlier self, if that is due between these steps."""
        due = any(before < threshold <= step for threshold in DUE)
        if due:
            recipe = describe(self._run)
            trees = {"agent": self._agent.agent_state()}
            checkpoint.write_checkpoint(
                self.folder, step, trees, extra={"recipe": recipe, **signature(recipe)}, keep=len(DUE)
            )
            self._steps.append(step)
        if self._steps and (due or crossed(before, step, PERIOD)):
            self._become(int(self._rng.choice(self._steps[-NEWEST:])))

    def _become(self, step: int) -> None:
        put_back(self._past, checkpoint.checkpoint_path(self.folder, step))
        self._past_step = step

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": list(self._steps),
            "past": -1 if self._past_step is None else self._past_step,
            "actors": {name: actor.state_dict() for name, actor in zip(("now", "past"), self._actors, strict=True)},
            "rng": generator_state(self._rng),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises `CheckpointError` if the generation that is the earlier self is missing or damaged."""
        self._steps = list(state["steps"])
        if state["past"] >= 0:
            self._become(state["past"])
        for name, actor in zip(("now", "past"), self._actors, strict=True):
            actor.load_state_dict(state["actors"][name])
        restore_generator(self._rng, state["rng"])


def _act(actor: Actor, observations: np.ndarray, legal: np.ndarray) -> np.ndarray:
    row = first_row(actor.agent.spec, {"obs": observations}, np.ones(len(observations), bool))
    return actor.act(row._replace(mask=legal))
