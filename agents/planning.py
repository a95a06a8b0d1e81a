"""What the agents that plan have in common: positions in, searched moves out, and what the search saw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import Policy
from agents.base import Agent, Choice
from rl.distributions import Categorical
from rl.errors import InputError
from rl.interface import Obs, TimeStep
from rl.search.model import Evaluate
from rl.search.search import Result, SearchConfig, principal_line, search

WORKERS = 2
"""Threads for searches of different lengths: the compiled walks and PyTorch's kernels run outside Python's lock."""


class Seen(NamedTuple):
    """What the search of one position saw, for the player to move."""

    action: int
    value: float  # -1 lost to 1 won
    visits: np.ndarray  # int32 [A]
    q: np.ndarray  # float32 [A], NaN without a visit
    prior: np.ndarray  # float32 [A]
    policy: np.ndarray  # float32 [A]: after the search
    proved: np.ndarray  # float32 [A]: what the action surely leads to, 1 won, 0 drawn, -1 lost; NaN if unknown
    line: list[int]  # the actions of the principal line


def _each(work: Callable[[Any], Result], jobs: list[Any]) -> list[Result]:
    if len(jobs) < 2:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, jobs))


class PlanningAgent(Agent):
    """Chooses by a tree search in a copy of the environment.

    The positions of a board game are read off the observations; other environments give copies of their states with
    each row.
    """

    model: Any
    """A `rl.search.model.Model`; a `BoardGame` if it has two players."""

    def states(self, ts: TimeStep) -> np.ndarray:
        """The simulator's states [N] of a row. Raises `InputError` if the row has no copy of them."""
        if self.model.players == 2:
            return np.asarray(self.model.positions(ts.obs))
        if "states" not in ts.info:
            raise InputError(
                f"{self.name} plans from a copy of the environment's state, and an observation of {self.spec.id} "
                "alone is none: play with rl evaluate, rl watch, or actor.act(row) on rows of envs.make"
            )
        return np.asarray(ts.info["states"]())

    @abstractmethod
    def evaluator(self, rng: np.random.Generator) -> Evaluate:
        """The evaluation of leaves in one search; `rng` is for random games."""

    def prior(self, rng: np.random.Generator) -> Evaluate:
        """The evaluation by which an agent plays without simulations."""
        return self.evaluator(rng)

    def look(self, obs: Obs, simulations: int, seed: int = 0) -> list[Seen]:
        """What a search without noise sees in each of the observations [N, ...] of a board game, all in play."""
        rng = np.random.default_rng(seed)
        found = self._search(self.model.positions(obs), simulations, rng, noise=False)
        least, most = found.tree.least[:, 0], found.tree.most[:, 0]
        proved = np.where((least > 0) | (most < 0) | (least == most), np.sign(least + most), np.nan)
        return [
            Seen(
                int(found.action[i]),
                float(found.value[i]),
                found.visits[i],
                found.q[i],
                found.prior[i],
                found.policy[i],
                proved[i],
                principal_line(found, i),
            )
            for i in range(len(found.action))
        ]

    def _search(self, states: np.ndarray, simulations: int, rng: np.random.Generator, noise: bool) -> Result:
        settings: SearchConfig = self.config.search
        exploring = rng if noise else None
        return search(
            self.model, self.evaluator(rng), states, simulations, settings, exploring, chance=rng, gamma=self.gamma
        )

    @property
    def gamma(self) -> float:
        """Discount of one step, for environments with one player."""
        return float(self.config.gamma)

    def plan(self, ts: TimeStep, simulations: np.ndarray, rng: np.random.Generator, noise: bool) -> Choice:
        """Searches every game in play with its own number of simulations, int64 [N]; 0 takes the prior's best move.

        Extra columns: the policy after the search and the root's value.
        """
        states = self.states(ts)
        playing = self.model.legal(states).any(axis=1) & ~ts.last & (np.asarray(ts.info.get("game", 0)) >= 0)
        policy = np.zeros((len(states), self.model.num_actions), np.float32)
        action, value = np.zeros(len(states), np.int64), np.zeros(len(states), np.float32)
        jobs: list[tuple[int, np.ndarray, np.random.Generator]] = []
        for many in np.unique(simulations[playing]).tolist():
            rows = np.flatnonzero(playing & (simulations == many))
            if many == 0:
                logits, legal, value[rows] = self.prior(rng)(states[rows])
                shares = torch.from_numpy(np.where(legal, logits, -np.inf)).softmax(-1).numpy()
                action[rows], policy[rows] = shares.argmax(axis=1), shares
                if noise:  # the rounded shares need not add up to one
                    upto = shares.cumsum(axis=1)
                    action[rows] = (upto > rng.random((len(rows), 1)) * upto[:, -1:]).argmax(axis=1)
            else:
                jobs.append((many, rows, np.random.default_rng(rng.integers(1 << 62))))

        def work(job: tuple[int, np.ndarray, np.random.Generator]) -> Result:
            return self._search(states[job[1]], job[0], job[2], noise)

        for (_, rows, _), found in zip(jobs, _each(work, jobs), strict=True):
            action[rows], policy[rows], value[rows] = found.action, found.policy, found.value
        shown: Tensor = torch.from_numpy(np.maximum(policy, 1e-12)).log()
        output: Any = Policy(Categorical(shown), torch.from_numpy(value), torch.zeros(len(states), 0))
        return Choice(action, {"policy": policy, "root": value}, output)
