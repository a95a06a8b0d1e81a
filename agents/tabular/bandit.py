"""Bandit algorithms: epsilon-greedy, optimistic, UCB1, gradient, Thompson sampling, EXP3, and LinUCB for contexts.

An episode is one bandit problem. Everything that is learned in it belongs to the acting stream, like the state of a
recurrent network, and begins anew with the next problem; evaluation shows how fast a rule learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Agent, Choice
from agents.value_player import Q
from rl.errors import InputError
from rl.fields import check_fields, fraction, not_negative, positive, within
from rl.interface import EnvSpec, Obs, TimeStep


@dataclass(frozen=True)
class BanditConfig:
    """The bandit agent's fields; each rule uses those that name it."""

    rule: Literal["epsilon_greedy", "optimistic", "ucb1", "gradient", "thompson", "exp3", "linucb"] = "ucb1"
    """How arms are chosen; linucb reads the observation as a context, the others ignore it."""
    epsilon: float = fraction(0.1)
    """epsilon_greedy: share of random pulls; exp3: share of uniform probability (its gamma)."""
    step_size: float = fraction(0.0)
    """epsilon_greedy, optimistic: weight of the newest reward; 0 averages all. gradient: step size, 0 is 0.1."""
    optimism: float = within(5.0, np.isfinite, "be finite")
    """optimistic: value of every arm before its first pull."""
    width: float = not_negative(2.0)
    """ucb1, linucb: width of the confidence bound."""
    deviation: float = positive(1.0)
    """thompson: standard deviation of a reward; an arm's mean is N(0, 1) beforehand."""
    low: float = 0.0
    """exp3: smallest reward; smaller ones count as this."""
    high: float = 1.0
    """exp3: largest reward."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.low < self.high:
            raise InputError(f"low must be below high, got {self.low} and {self.high}")


class Bandit(Agent):
    """Sutton and Barto 2018, chapter 2; Auer et al. 2002 (UCB1, EXP3); Thompson 1933; Li et al. 2010 (LinUCB).

    The memory of a stream is float64 [N, 3 A + 2]: pulls, values (or preferences, log-weights) and the last choice's
    probabilities of the arms, then the number of pulls and the mean reward. LinUCB appends the last context [d], the
    inverse matrices [A, d, d] and the vectors [A, d].
    """

    name = "bandit"
    Config = BanditConfig
    config: BanditConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device="cpu")
        if spec.action.kind != "discrete":
            raise InputError(f"bandit needs discrete actions, {spec.id} has {spec.action.kind}: try ppo")
        self.arms = spec.action.nvec[0]
        self.features = sum(int(np.prod(leaf.shape)) for leaf in spec.obs.values())
        if config.rule == "linucb" and any(leaf.kind != "vector" for leaf in spec.obs.values()):
            raise InputError(f"rule=linucb needs a vector as its context, {spec.id} shows none: use rule=ucb1")
        self.network = nn.Module()  # nothing outlives a problem
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._regret = np.zeros(num_envs)
        """Regret of the problem that each environment plays, as far as the environment tells."""

    # the training stream

    def replay_fields(self) -> dict[str, Any]:
        return {"slots": 2}

    def observe(self, ts: TimeStep) -> None:
        self._row = ts
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def update(self) -> dict[str, Any] | None:
        """Counts pulls; the acting stream itself learns from the row, in `choose_by_numpy`."""
        ts = self._row
        pulled = ~ts.first
        self.updates += int(pulled.sum())
        lost = ts.info.get("regret")
        if lost is None or not pulled.any():
            return None
        lost = np.array([0.0 if x is None else float(x) for x in lost])
        self._regret = np.where(ts.first, 0.0, self._regret + lost)
        best = [float(x) for x, p in zip(ts.info["optimal"], pulled, strict=True) if p and x is not None]
        return {"regret": float(self._regret.mean()), "optimal": float(np.mean(best)) if best else 0.0}

    # acting

    @property
    def stack(self) -> int:
        return 1

    @property
    def state_size(self) -> int:
        a, d = self.arms, self.features
        return 3 * a + 2 + (d + a * d * d + a * d if self.config.rule == "linucb" else 0)

    def draws(self, sample: bool) -> bool:
        return True

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        raise NotImplementedError  # `choose_by_numpy` always answers

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice:
        memory = actor.memory.numpy().astype(np.float64)
        played = ~ts.first & ((ts.discount > 0) | ts.last)  # a row of `predict` tells no reward
        self._learn(memory[played], memory, played, ts)
        self._begin(memory, ts.first)
        context = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in obs.values()], 1).astype(np.float64)
        score, probability = self.scores(memory, context, actor.rng)
        if probability is not None:
            ends = np.cumsum(probability, 1)
            action = (actor.rng.random((len(ends), 1)) * ends[:, -1:] >= ends).sum(1).clip(0, self.arms - 1)
        else:
            best = score == score.max(1, keepdims=True)
            action = (actor.rng.random(score.shape) * best).argmax(1)
            if self.config.rule == "epsilon_greedy":
                chance, other = actor.rng.random(len(action)), actor.rng.integers(self.arms, size=len(action))
                action = np.where(chance < self.config.epsilon, other, action)
        actor.memory = torch.from_numpy(memory)
        shown = self._values(memory) if probability is None else probability
        return Choice(action.astype(np.int64), {}, Q(torch.from_numpy(np.ascontiguousarray(shown))))

    def _values(self, memory: np.ndarray) -> np.ndarray:
        return memory[:, self.arms : 2 * self.arms]

    def _begin(self, memory: np.ndarray, first: np.ndarray) -> None:
        """Empties the memory of the rows that begin a problem."""
        memory[first] = 0.0
        if self.config.rule == "optimistic":
            memory[np.ix_(first, np.arange(self.arms, 2 * self.arms))] = self.config.optimism
        if self.config.rule == "linucb":
            inverse = self._linear(memory)[1]
            inverse[first] = np.eye(self.features)

    def _linear(self, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """LinUCB's views of the memory: context [N, d], inverse matrices [N, A, d, d], vectors [N, A, d]."""
        n, a, d = len(memory), self.arms, self.features
        rest = memory[:, 3 * a + 2 :]
        parts = rest[:, :d], rest[:, d : d + a * d * d], rest[:, d + a * d * d :]
        return parts[0], parts[1].reshape(n, a, d, d), parts[2].reshape(n, a, d)

    def scores(
        self, memory: np.ndarray, context: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What the choice maximises, [N, A], and the probabilities to draw from instead, or None."""
        c, a = self.config, self.arms
        pulls, values, t = memory[:, :a], memory[:, a : 2 * a], memory[:, 3 * a : 3 * a + 1]
        if c.rule == "ucb1":
            bound = c.width * np.sqrt(np.log(np.maximum(t, 1)) / np.maximum(pulls, 1))
            return np.where(pulls == 0, np.inf, values + bound), None
        if c.rule == "thompson":
            precision = 1 + pulls / c.deviation**2
            return rng.normal(values * (pulls / c.deviation**2) / precision, precision**-0.5), None
        if c.rule in ("gradient", "exp3"):
            weight = np.exp(values - values.max(1, keepdims=True))
            probability = weight / weight.sum(1, keepdims=True)
            if c.rule == "exp3":
                probability = (1 - c.epsilon) * probability + c.epsilon / a
            memory[:, 2 * a : 3 * a] = probability
            return values, probability
        if c.rule == "linucb":
            kept, inverse, vector = self._linear(memory)
            kept[:] = context
            theta = np.einsum("naij,naj->nai", inverse, vector)
            spread = np.einsum("ni,naij,nj->na", context, inverse, context)
            return np.einsum("nai,ni->na", theta, context) + c.width * np.sqrt(np.maximum(spread, 0)), None
        return values, None

    def _learn(self, rows: np.ndarray, memory: np.ndarray, played: np.ndarray, ts: TimeStep) -> None:
        """Learns in `memory` from the reward that each row in `played` [N] brought; `rows` is its copy there."""
        if not len(rows):
            return
        c, a, k = self.config, self.arms, np.arange(len(rows))
        arm, reward = ts.action[played], ts.reward[played].astype(np.float64)
        rows[k, arm] += 1
        pulls, values = rows[k, arm], rows[:, a : 2 * a]
        rows[:, 3 * a] += 1
        if c.rule == "gradient":
            taken, probability = np.eye(a)[arm], rows[:, 2 * a : 3 * a]
            rows[:, 3 * a + 1] += (reward - rows[:, 3 * a + 1]) / rows[:, 3 * a]  # the baseline has this reward too
            gain = (c.step_size or 0.1) * (reward - rows[:, 3 * a + 1])
            values += gain[:, None] * (taken - probability)
        elif c.rule == "exp3":
            scaled = np.clip((reward - c.low) / (c.high - c.low), 0, 1)
            chance = np.maximum(rows[k, 2 * a + arm], c.epsilon / a)  # never less, unless another stream chose
            values[k, arm] += c.epsilon * scaled / chance / a if c.epsilon else 0.0
        elif c.rule == "linucb":
            x, inverse, vector = (part.copy() for part in self._linear(rows))
            mine = inverse[k, arm]
            moved = np.einsum("nij,nj->ni", mine, x)
            scale = 1 + np.einsum("ni,ni->n", x, moved)  # Sherman-Morrison
            inverse[k, arm] -= np.einsum("ni,nj->nij", moved, moved) / scale[:, None, None]
            vector[k, arm] += reward[:, None] * x
            d = self.features
            rows[:, 3 * a + 2 + d :] = np.concatenate([inverse.reshape(len(k), -1), vector.reshape(len(k), -1)], 1)
        else:
            step = c.step_size if c.rule in ("epsilon_greedy", "optimistic") and c.step_size else 1 / pulls
            values[k, arm] += step * (reward - values[k, arm])
        memory[played] = rows

    # saving

    def choices(self) -> dict[str, Any]:
        return {"precision": "fp64"}

    def parts(self) -> dict[str, Any]:
        return {"stream": self._stream, "replay": self.replay}

    def learner_state(self) -> dict[str, Any]:
        return {"regret": self._regret.copy(), **super().learner_state()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._regret = np.array(state["regret"])
