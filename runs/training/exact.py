"""The exact expected return of a policy on an environment with a known model, and the best that any policy reaches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.base import Agent
from agents.predict import first_row
from rl.tables import StateIndex


class Exact(NamedTuple):
    """Expected undiscounted returns of one game, by dynamic programming within its time limit."""

    value: float | None
    """Of the agent's policy; None if it draws actions or remembers more than the newest observation."""
    optimum: float
    """Of the best policy, which may look at the clock."""


def exact_return(agent: Agent, horizon: int, sample: bool = False) -> Exact | None:
    """The exact values of games of at most `horizon` steps; None if the environment has no exact model."""
    if agent.spec.model is None:
        return None
    model = agent.spec.model.table
    optimum = model.optimum(horizon)
    if agent.draws(sample) or agent.stack > 1 or (agent.state_size and not agent.timed):
        return Exact(None, optimum)
    first = np.ones(model.states, bool)
    row = first_row(agent.spec, StateIndex(agent.spec, agent.name).observations(), first)._replace(mask=model.mask)
    actor = agent.actor(model.states, agent.seed, stream="exact", sample=sample)
    policies = [actor.act(row)]
    if agent.timed:
        later = row._replace(first=~first)
        policies += [actor.act(later) for _ in range(1, horizon)]
    return Exact(model.expected_return(policies.__getitem__, horizon, agent.timed), optimum)
