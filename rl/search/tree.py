"""The trees of N games as arrays, and the compiled loops that walk them. No node is a Python object.

Every number of a node is seen by the player to move there. An edge's return is the reward of the player who moves
along it minus the value of the position after it: the sign flips at every ply. Positions that ended have the value 0,
so that the return of their edge is the exact reward.

Equations: Danihelka et al. 2022, "Policy improvement by planning with Gumbel"; Silver et al. 2017 for PUCT.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

GUMBEL, PUCT = 0, 1
NONE = -np.inf


def compiled(function: Any) -> Any:
    return numba.njit(nogil=True, error_model="numpy", cache=True)(function)


class Tree:
    """`num` trees of up to `nodes` positions with `actions` edges each. Node 0 is the root."""

    def __init__(self, num: int, nodes: int, actions: int, dtype: np.dtype) -> None:
        edges = (num, nodes, actions)
        self.states = np.zeros((num, nodes), dtype)
        self.ended = np.zeros((num, nodes), np.bool_)
        self.value = np.zeros((num, nodes), np.float32)
        """Of the evaluation; 0 for positions that ended."""
        self.parent = np.zeros((num, nodes), np.int32)
        self.move = np.zeros((num, nodes), np.int32)
        """The action that leads to the node."""
        self.child = np.full(edges, -1, np.int32)
        self.logits = np.full(edges, NONE, np.float32)
        """-inf for illegal actions."""
        self.visits = np.zeros(edges, np.int32)
        self.total = np.zeros(edges, np.float64)
        """Sum of an edge's returns."""
        self.reward = np.zeros(edges, np.float32)

    @property
    def edges(self) -> tuple[np.ndarray, ...]:
        """The arguments of `improved` for all nodes."""
        return self.logits, self.visits, self.total, self.value


@cache
def halving(most: int, simulations: int) -> np.ndarray:
    """The visits of the next action to try at the root, int64 [most + 1, simulations], for each number of actions.

    Sequential halving: the actions are tried equally often, then the better half of them, until one or two are left.
    """
    table = np.zeros((most + 1, simulations), np.int64)
    table[:2] = np.arange(simulations)
    for m in range(2, most + 1):
        rounds, visits, left = int(np.ceil(np.log2(m))), [0] * m, m
        sequence: list[int] = []
        while len(sequence) < simulations:
            for _ in range(max(1, simulations // (rounds * left))):
                sequence += visits[:left]
                visits[:left] = [n + 1 for n in visits[:left]]
            left = max(2, left // 2)
        table[m] = sequence[:simulations]
    return table


@compiled
def improved(logits, visits, total, value, c_visit, c_scale, out):  # type: ignore[no-untyped-def]
    """Writes logits + sigma(completed Q) of one node into `out` [A] (equations 7, 8 and 11); returns the mixed value.

    Q in [-1, 1] is mapped to [0, 1]. The Q of an edge without a visit is the mixed value: the evaluation's value and
    the policy's mean Q of the visited edges, weighted by the visits (appendix D, equation 33).
    """
    top = NONE
    for a in range(len(logits)):
        top = max(top, logits[a])
    seen, mean, count, most = 0.0, 0.0, 0, 0
    for a in range(len(logits)):
        if visits[a] > 0:
            p = np.exp(logits[a] - top) + 1e-12
            seen += p
            mean += p * total[a] / visits[a]
            count += visits[a]
            most = max(most, visits[a])
    mixed = value
    if count > 0:
        mixed = (value + count * mean / seen) / (1 + count)
    for a in range(len(logits)):
        q = total[a] / visits[a] if visits[a] > 0 else mixed
        out[a] = logits[a] + (c_visit + most) * c_scale * 0.5 * (q + 1.0)
    return mixed


@compiled
def gumbel_edge(visits, scores):  # type: ignore[no-untyped-def]
    """The deterministic choice below the root: argmax of pi' - N / (1 + sum N) (equation 14)."""
    top, count, mass = NONE, 0, 0.0
    for a in range(len(scores)):
        top = max(top, scores[a])
        count += visits[a]
    for a in range(len(scores)):
        mass += np.exp(scores[a] - top)
    best, chosen = NONE, 0
    for a in range(len(scores)):
        if scores[a] == NONE:
            continue
        score = np.exp(scores[a] - top) / mass - visits[a] / (1.0 + count)
        if score > best:
            best, chosen = score, a
    return chosen


@compiled
def puct_edge(logits, visits, total, value, c_puct):  # type: ignore[no-untyped-def]
    """argmax of Q + c P sqrt(sum N) / (1 + N). The Q of an edge without a visit is the mean value of the node."""
    top, count, mass, mean = NONE, 0, 0.0, float(value)
    for a in range(len(logits)):
        top = max(top, logits[a])
        count += visits[a]
        mean += total[a]
    mean /= 1 + count
    for a in range(len(logits)):
        mass += np.exp(logits[a] - top)
    best, chosen = NONE, 0
    for a in range(len(logits)):
        if logits[a] == NONE:
            continue
        q = total[a] / visits[a] if visits[a] > 0 else mean
        score = q + c_puct * np.exp(logits[a] - top) / mass * np.sqrt(max(count, 1)) / (1 + visits[a])
        if score > best:
            best, chosen = score, a
    return chosen


@compiled
def root_edge(visits, scores, noise, tried):  # type: ignore[no-untyped-def]
    """Among the actions that were tried so often: argmax of g + logits + sigma(completed Q)."""
    best, chosen = NONE, -1
    for a in range(len(scores)):
        if scores[a] > NONE and visits[a] == tried and noise[a] + scores[a] > best:
            best, chosen = noise[a] + scores[a], a
    return chosen


@compiled
def descend(kind, turn, noise, table, ended, child, logits, visits, total, value, c_visit, c_scale, c_puct, node, edge):  # type: ignore[no-untyped-def]
    """Walks each tree from its root to an edge without a child: `node` [N], `edge` [N]; edge -1 if the node ended.

    noise: Gumbel noise of the root, float32 [N, A]. table: the schedule `halving`.
    """
    scores = np.empty(logits.shape[2])
    for i in range(len(node)):
        at = 0
        while True:
            if ended[i, at]:
                edge[i] = -1
                break
            if kind == PUCT:
                a = puct_edge(logits[i, at], visits[i, at], total[i, at], value[i, at], c_puct)
            else:
                improved(logits[i, at], visits[i, at], total[i, at], value[i, at], c_visit, c_scale, scores)
                if at == 0:
                    legal = 0
                    for b in range(len(scores)):
                        legal += scores[b] > NONE
                    tried = table[min(legal, len(table) - 1), turn]
                    a = root_edge(visits[i, 0], scores, noise[i], tried)
                else:
                    a = gumbel_edge(visits[i, at], scores)
            if child[i, at, a] < 0:
                edge[i] = a
                break
            at = child[i, at, a]
        node[i] = at


@compiled
def back_up(leaf, ended, value, parent, move, visits, total, reward):  # type: ignore[no-untyped-def]
    """Adds the value of each leaf [N] to the edges above it."""
    for i in range(len(leaf)):
        at = leaf[i]
        result = 0.0 if ended[i, at] else value[i, at]
        while at > 0:
            a, at = move[i, at], parent[i, at]
            result = reward[i, at, a] - result
            total[i, at, a] += result
            visits[i, at, a] += 1


@compiled
def summarise(noise, logits, visits, total, value, c_visit, c_scale, policy, worth, action):  # type: ignore[no-untyped-def]
    """From the roots: the improved policy float32 [N, A], its value [N] and the best action [N].

    The value is the policy's mean of the completed Q. The action has the highest g + logits +
    sigma(completed Q) among those with the most visits.
    """
    scores = np.empty(logits.shape[2])
    for i in range(len(action)):
        mixed = improved(logits[i, 0], visits[i, 0], total[i, 0], value[i, 0], c_visit, c_scale, scores)
        action[i] = max(root_edge(visits[i, 0], scores, noise[i], visits[i, 0].max()), 0)
        top, mass = scores.max(), 0.0
        for a in range(len(scores)):
            mass += np.exp(scores[a] - top)
        for a in range(len(scores)):
            policy[i, a] = np.exp(scores[a] - top) / mass
            q = total[i, 0, a] / visits[i, 0, a] if visits[i, 0, a] > 0 else mixed
            worth[i] += policy[i, a] * q
