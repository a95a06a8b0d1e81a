"""Acting while learning: a thread makes a burst of updates while the environments go on.

The actions from one burst to the next come from the weights of before that burst, so acting is one burst behind. All of
it is deterministic: rows that arrive during a burst wait until the burst is over, and the thread alone touches the
learner meanwhile. PyTorch's operations, ALE and MuJoCo release the interpreter's lock, so both sides have a core each.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

import agents
from agents.base import Agent, Metrics
from agents.replay_agent import ReplayAgent
from rl.errors import InputError
from rl.interface import TimeStep


def require_replay(agent: Agent) -> ReplayAgent:
    """The agent, if it can act while it learns. Raises InputError otherwise."""
    if not isinstance(agent, ReplayAgent) or not agent.overlaps:
        raise InputError(f"overlap=true is for learners from a replay, such as dqn and sac, not for {agent.name}")
    if getattr(agent.config, "noisy", False):
        raise InputError("overlap=true: noisy layers of acting and learning share one generator: set noisy=false")
    return agent


class Overlapped:
    """A learner from the replay as `rl.loop` drives it, with its bursts in a thread.

    `settle` waits for the burst. Call it before anything else reads or changes the agent.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent: ReplayAgent = require_replay(agent)
        like: dict[str, Any] = {"num_envs": agent.num_envs, "seed": agent.seed, "device": str(agent.device)}
        self.player: Any = agents.build(agent.config, agent.spec, **like)
        """Acts; has the weights of before the newest burst, and the true number of steps."""
        self.player._stream = agent._stream
        agent._stream.agent = self.player
        self._threads = ThreadPoolExecutor(1, "burst")
        self._burst: Future[Metrics | None] | None = None
        self._metrics: Metrics | None = None
        """Of the newest burst, until `update` has returned them."""
        self._rows: list[tuple[TimeStep, Any]] = []
        """Rows that arrived during the burst, with the replay's own columns."""
        self._follow()

    def observe(self, ts: TimeStep) -> None:
        player = self.player
        self._before = player.step
        player.step += player.num_envs - int(np.count_nonzero(ts.first))
        self._rows.append((ts, self.agent.stored()))
        if self._burst is None:
            self._store()

    def act(self, ts: TimeStep) -> np.ndarray:
        return self.player.act(ts)  # type: ignore[no-any-return]

    def update(self) -> Metrics | None:
        """Begins a burst if one is due. Returns the metrics of the burst before."""
        if not self.agent.due(self._before, self.player.step):
            return None
        self.settle()
        metrics, self._metrics = self._metrics, None
        self._follow()
        self._burst = self._threads.submit(self.agent.update)
        return metrics

    def settle(self) -> None:
        """Waits for the burst, whose error it raises, and gives the agent the rows that arrived meanwhile."""
        burst, self._burst = self._burst, None
        try:
            if burst is not None:
                self._metrics = burst.result() or self._metrics
        finally:
            self._store()

    def _store(self) -> None:
        rows, self._rows = self._rows, []
        for ts, stored in rows:
            self.agent.store(ts, stored)

    def _follow(self) -> None:
        self.player.network.load_state_dict(self.agent.network.state_dict())
        self.player.updates = self.agent.updates

    def schedule(self) -> dict[str, float]:
        return self.player.schedule()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Waits for the burst and ends the thread."""
        self._threads.shutdown()

    # saving, after `settle`

    def state_dict(self) -> dict[str, Any]:
        metrics = {name: float(value) for name, value in (self._metrics or {}).items()}
        return {"acting": dict(self.player.network.state_dict()), "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The agent must have been restored before."""
        self.player.network.load_state_dict(state["acting"])
        self.player.step, self._metrics = self.agent.step, state["metrics"] or None
