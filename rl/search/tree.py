"""The trees of N games as arrays, and the compiled loops that walk them. No node is a Python object.

Every number of a node is seen by the player to move there. An edge's return is the reward of the player who moves
along it minus the value of the position after it: the sign flips at every ply. Positions that ended have the value 0,
so that the return of their edge is the exact reward. With one player it is the reward plus the discounted value, and
returns are compared on the scale of the tree's own lowest and highest mean return (MuZero, Schrittwieser et al. 2020).

An action with several possible outcomes has one child for each outcome that was drawn: `child` is the first of them
and `sibling` leads to the next. The walk draws an outcome at every edge and follows the child of the same `key`.

With two players, outcomes are -1, 0 or 1. Each edge has a lower and an upper bound of its return, and a node's bounds
are those of its best edge. Once both are positive, both negative or equal, the tree has proved the outcome. Bounds
shrink by `SOONER` at every ply, so that a sooner win and a later loss are better. Estimates are clipped to the bounds.

Equations: Danihelka et al. 2022, "Policy improvement by planning with Gumbel"; Silver et al. 2017 for PUCT; Cazenave
and Saffidine 2010, "Score bounded Monte-Carlo tree search".
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rl.jit import compiled

GUMBEL, PUCT = 0, 1
NONE = -np.inf
SOONER = 1 - 2.0**-10
"""Factor of a proved outcome for every further ply."""


def _powers(count: int) -> np.ndarray:
    """SOONER to the power of 0, 1, ...: rounded at every ply, as `back_up` does, so that equal bounds are equal."""
    powers = np.ones(count, np.float32)
    for k in range(1, count):
        powers[k] = SOONER * float(powers[k - 1])
    return powers


LATER = _powers(256)
"""The factor of a proved outcome that comes so many plies later, float32 [256]."""


class Tree:
    """`num` trees of up to `nodes` positions with `actions` edges each. Node 0 is the root."""

    def __init__(self, num: int, nodes: int, actions: int, dtype: np.dtype, players: int = 2) -> None:
        edges, limit = (num, nodes, actions), 1.0 if players == 2 else np.inf
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
        self.reward = np.zeros((num, nodes), np.float32)
        """Of the step that leads to the node."""
        self.sibling = np.full((num, nodes), -1, np.int32)
        self.key = np.zeros((num, nodes), np.int64)
        self.least = np.full(edges, -limit, np.float32)
        """Proved lower bound of an edge's return."""
        self.most = np.full(edges, limit, np.float32)
        self.span = np.tile(np.array([1.0, 0.0, np.inf, -np.inf]), (num, 1))
        """Factor and summand that map a mean return to [-1, 1], and the lowest and highest mean return so far."""
        if players == 1:
            self.span[:, 0] = 0.0

    @property
    def edges(self) -> tuple[np.ndarray, ...]:
        """The arguments of `improved` for all nodes."""
        return self.logits, self.visits, self.total, self.least, self.most, self.value, self.span


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
def bounds(logits, least, most):  # type: ignore[no-untyped-def]
    """The lower and the upper bound of a node's value."""
    low, high = NONE, NONE
    for a in range(len(logits)):
        if logits[a] > NONE:
            low, high = max(low, least[a]), max(high, most[a])
    return low, high


@compiled
def settled(low, high):  # type: ignore[no-untyped-def]
    """Whether the bounds prove the outcome."""
    return low > 0 or high < 0 or low == high


@compiled
def improved(logits, visits, total, least, most, value, span, c_visit, c_scale, out):  # type: ignore[no-untyped-def]
    """Writes logits + sigma(completed Q) of one node into `out` [A] (equations 7, 8 and 11); returns the mixed value.

    Q in [-1, 1], after `span`, is mapped to [0, 1]. The Q of an edge without a visit is the mixed value: the
    evaluation's value and the policy's mean Q of the visited edges, weighted by the visits (appendix D, equation 33).
    Each is clipped to the bounds of its edge.
    """
    top = NONE
    for a in range(len(logits)):
        top = max(top, logits[a])
    seen, mean, count, often = 0.0, 0.0, 0, 0
    for a in range(len(logits)):
        if visits[a] > 0:
            p = np.exp(logits[a] - top) + 1e-12
            seen += p
            mean += p * min(max(total[a] / visits[a], least[a]), most[a])
            count += visits[a]
            often = max(often, visits[a])
    mixed = value
    if count > 0:
        mixed = (value + count * mean / seen) / (1 + count)
    for a in range(len(logits)):
        q = min(max(total[a] / visits[a] if visits[a] > 0 else mixed, least[a]), most[a])
        out[a] = logits[a] + (c_visit + often) * c_scale * 0.5 * (q * span[0] + span[1] + 1.0)
    return mixed


@compiled
def gumbel_edge(visits, scores, most, low):  # type: ignore[no-untyped-def]
    """The deterministic choice below the root: argmax of pi' - N / (1 + sum N) (equation 14) above `low`."""
    top, count, mass = NONE, 0, 0.0
    for a in range(len(scores)):
        top = max(top, scores[a])
        count += visits[a]
    for a in range(len(scores)):
        mass += np.exp(scores[a] - top)
    best, chosen = NONE, 0
    for a in range(len(scores)):
        if scores[a] == NONE or most[a] <= low:
            continue
        score = np.exp(scores[a] - top) / mass - visits[a] / (1.0 + count)
        if score > best:
            best, chosen = score, a
    return chosen


@compiled
def puct_edge(logits, visits, total, least, most, value, span, c_puct, low):  # type: ignore[no-untyped-def]
    """argmax of Q + c P sqrt(sum N) / (1 + N) over the edges that can exceed `low`.

    The Q of an edge without a visit is the mean value of the node.
    """
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
        if logits[a] == NONE or most[a] <= low:
            continue
        q = min(max(total[a] / visits[a] if visits[a] > 0 else mean, least[a]), most[a])
        score = (
            q * span[0] + span[1] + c_puct * np.exp(logits[a] - top) / mass * np.sqrt(max(count, 1)) / (1 + visits[a])
        )
        if score > best:
            best, chosen = score, a
    return chosen


@compiled
def outcome(trees, parent, edge, key, known, child, sibling, found):  # type: ignore[no-untyped-def]
    """Writes into `found` [K] the child after `edge` of `parent` with this `key`, else -1."""
    for k in range(len(trees)):
        i = trees[k]
        at = child[i, parent[k], edge[k]]
        while at >= 0 and known[i, at] != key[k]:
            at = sibling[i, at]
        found[k] = at


@compiled
def root_edge(visits, scores, noise, tried):  # type: ignore[no-untyped-def]
    """Among the actions that were tried so often: argmax of g + logits + sigma(completed Q)."""
    best, chosen = NONE, -1
    for a in range(len(scores)):
        if scores[a] > NONE and visits[a] == tried and noise[a] + scores[a] > best:
            best, chosen = noise[a] + scores[a], a
    return chosen


@compiled
def descend(  # type: ignore[no-untyped-def]
    kind,
    turn,
    noise,
    table,
    ended,
    child,
    logits,
    visits,
    total,
    least,
    most,
    value,
    span,
    c_visit,
    c_scale,
    c_puct,
    once,
    rest,
    node,
    edge,
):
    """Walks each tree from `node` [N] to an edge without a child, or with `once` along one edge.

    Writes the last node and the edge [N].

    Edge -1: the walk stays at a node that ended or whose outcome is proved; at the root only with `rest`. Trees whose
    node is -1 are left out.

    noise: Gumbel noise of the root, float32 [N, A]. table: the schedule `halving`.
    """
    scores = np.empty(logits.shape[2])
    for i in range(len(node)):
        at = node[i]
        while at >= 0:
            low, high = bounds(logits[i, at], least[i, at], most[i, at])
            if ended[i, at] or ((at > 0 or rest) and settled(low, high)):
                edge[i] = -1
                break
            if low >= high:
                low = -2.0  # the root is solved: every move stays open
            now = (logits[i, at], visits[i, at], total[i, at], least[i, at], most[i, at], value[i, at], span[i])
            if kind == PUCT:
                a = puct_edge(*now, c_puct, low)
            else:
                improved(*now, c_visit, c_scale, scores)
                if at == 0:
                    legal = 0
                    for b in range(len(scores)):
                        legal += scores[b] > NONE
                    tried = table[min(legal, len(table) - 1), turn]
                    a = root_edge(visits[i, 0], scores, noise[i], tried)
                else:
                    a = gumbel_edge(visits[i, at], scores, most[i, at], low)
            if once or child[i, at, a] < 0:
                edge[i] = a
                break
            at = child[i, at, a]
        node[i] = at


@compiled
def back_up(leaf, ended, parent, move, visits, total, reward, logits, least, most, value, span, factor, proofs):  # type: ignore[no-untyped-def]
    """Adds the value of each leaf [N] to the edges above it, and with `proofs` tightens their bounds.

    factor: of the value after an edge, -1 with two players, else the discount, which also renews `span`.
    """
    for i in range(len(leaf)):
        at = leaf[i]
        low, high = bounds(logits[i, at], least[i, at], most[i, at])
        if ended[i, at]:
            low, high = 0.0, 0.0
        result = value[i, at]
        if settled(low, high):
            result = low if low > 0 else high
        while at > 0:
            gain = reward[i, at]
            a, at = move[i, at], parent[i, at]
            if proofs:
                least[i, at, a] = max(least[i, at, a], gain - SOONER * high)
                most[i, at, a] = min(most[i, at, a], gain - SOONER * low)
            result = min(max(gain + factor * result, least[i, at, a]), most[i, at, a])
            total[i, at, a] += result
            visits[i, at, a] += 1
            low, high = bounds(logits[i, at], least[i, at], most[i, at])
            if factor >= 0:
                mean = total[i, at, a] / visits[i, at, a]
                span[i, 2], span[i, 3] = min(span[i, 2], mean), max(span[i, 3], mean)
        if factor >= 0 and span[i, 3] > span[i, 2]:
            span[i, 0] = 2.0 / (span[i, 3] - span[i, 2])
            span[i, 1] = -1.0 - span[i, 2] * span[i, 0]


@compiled
def summarise(noise, logits, visits, total, least, most, value, span, c_visit, c_scale, policy, worth, action, kept):  # type: ignore[no-untyped-def]
    """From the roots: the improved policy float32 [N, A], its value [N], the best action [N] and `kept` bool [N, A].

    The value is the policy's mean of the completed Q. The action has the highest g + logits +
    sigma(completed Q) among those with the most visits. Kept are the actions that may be the best by their bounds: the
    soonest of the proved wins, all actions of a lost position, of which the longest is played, else those that may win
    or hold the proved draw.
    """
    scores = np.empty(logits.shape[2])
    for i in range(len(action)):
        now = (logits[i, 0], visits[i, 0], total[i, 0], least[i, 0], most[i, 0], value[i, 0], span[i])
        mixed = improved(*now, c_visit, c_scale, scores)
        low, high = bounds(logits[i, 0], least[i, 0], most[i, 0])
        tried = 0
        for a in range(len(scores)):
            at_least, at_most = least[i, 0, a], most[i, 0, a]
            if low > 0:
                kept[i, a] = scores[a] > NONE and at_least == low
            elif high >= 0:
                kept[i, a] = scores[a] > NONE and (at_most > 0 or at_least == 0 or (at_most == 0 and low < 0))
            else:
                kept[i, a] = scores[a] > NONE
            if kept[i, a]:
                tried = max(tried, visits[i, 0, a])
            else:
                scores[a] = NONE
        action[i] = max(root_edge(visits[i, 0], scores, noise[i], tried), 0)
        if high < 0:
            for a in range(len(scores)):
                sure, chance = least[i, 0, a] - least[i, 0, action[i]], most[i, 0, a] - most[i, 0, action[i]]
                if kept[i, a] and (sure > 0 or (sure == 0 and chance > 0)):
                    action[i] = a
        top, mass = scores.max(), 0.0
        for a in range(len(scores)):
            mass += np.exp(scores[a] - top)
        for a in range(len(scores)):
            policy[i, a] = np.exp(scores[a] - top) / mass
            q = total[i, 0, a] / visits[i, 0, a] if visits[i, 0, a] > 0 else mixed
            worth[i] += policy[i, a] * q
        worth[i] = min(max(worth[i], low), high)
