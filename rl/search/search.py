"""Searches many positions at once; the leaves of all trees are evaluated in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rl.errors import InputError
from rl.fields import at_least, check_fields, fraction, not_negative, positive
from rl.search.model import Evaluate, Model
from rl.search.tree import GUMBEL, LATER, NONE, PUCT, Tree, back_up, descend, halving, outcome, summarise


@dataclass(frozen=True)
class SearchConfig:
    """How a tree grows."""

    SWITCHES: ClassVar[dict[str, str]] = {}

    rule: Literal["gumbel", "puct"] = "gumbel"
    """Gumbel AlphaZero, or AlphaZero's PUCT."""
    considered: int = at_least(1, 16)
    """Gumbel: actions that sequential halving begins with at the root."""
    c_visit: float = not_negative(50.0)
    """Gumbel: sigma(q) = (c_visit + largest number of visits) * c_scale * q, for q in [0, 1]."""
    c_scale: float = positive(1.0)
    """Gumbel: weight of the values against the prior; a small one trusts the values of little training less."""
    c_puct: float = positive(1.5)
    """PUCT: weight of the prior beside values from -1 to 1; with one player, from 0 to 1."""
    dirichlet: float = positive(0.6)
    """PUCT: concentration of the noise at the root; about 10 divided by the number of moves."""
    noise_share: float = fraction(0.25)
    """PUCT: share of the noise in the root's prior."""
    proofs: bool = True
    """Carry proved outcomes up the tree: a move that cannot be the best is searched and played no more."""
    lookahead: int = not_negative(0)
    """Board games: plies of exhaustive search in each new position for forced results (Baier and Winands 2015)."""
    solve: int = not_negative(0)
    """Board games: positions of exhaustive search at the root, for each simulation. With noise, a root whose outcome
    they prove needs no simulations."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("lookahead", "solve"):
            if getattr(self, name) and not self.proofs:
                raise InputError(f"search.{name} {getattr(self, name)} finds proofs: leave search.proofs on")


class Result(NamedTuple):
    """The finished search of N positions. Rows that are not in play are zero."""

    action: np.ndarray  # int64 [N]
    policy: np.ndarray  # float32 [N, A]: the target of the policy
    value: np.ndarray  # float32 [N]: of the player to move
    visits: np.ndarray  # int32 [N, A]
    q: np.ndarray  # float32 [N, A]: mean return of each action; NaN without a visit
    prior: np.ndarray  # float32 [N, A]
    tree: Tree


def search(
    model: Model,
    evaluate: Evaluate,
    states: np.ndarray,
    simulations: int,
    config: SearchConfig,
    rng: np.random.Generator | None = None,
    *,
    chance: np.random.Generator | None = None,
    gamma: float = 1.0,
) -> Result:
    """Searches the `states` [N], all of them in play, with `simulations` simulations each.

    rng: draws the exploration noise of the root, and with PUCT the action in proportion to the visits. None: no noise.
    chance: draws the outcomes of actions; only for models that are `stochastic`.
    gamma: discount of a step with one player; two players need none.
    """
    num, every = len(states), np.arange(len(states))
    tree = Tree(num, simulations + 1, model.num_actions, states.dtype, model.players)
    tree.states[:, 0] = states
    _expand(tree, model, evaluate, config.lookahead, every, np.zeros(num, np.int64))
    if config.solve:
        _solve(tree, model, config.solve * simulations)
    prior = _softmax(tree.logits[:, 0])
    noise = np.zeros((num, model.num_actions), np.float32)
    if rng is not None and config.rule == "gumbel":
        noise = rng.gumbel(size=noise.shape).astype(np.float32)
    elif rng is not None:
        _mix_noise(tree, prior, config, rng)
    table = halving(min(config.considered, model.num_actions), simulations)
    rest = config.solve > 0 and rng is not None
    factor, proofs = (-1.0, config.proofs) if model.players == 2 else (gamma, False)
    for turn in range(simulations):
        leaf, fresh = _walk(tree, model, config, noise, table, turn, chance, rest)
        _expand(tree, model, evaluate, config.lookahead, fresh[~tree.ended[fresh, turn + 1]], turn + 1)
        links = (tree.parent, tree.move, tree.visits, tree.total, tree.reward)
        back_up(leaf, tree.ended, *links, tree.logits, tree.least, tree.most, tree.value, tree.span, factor, proofs)
    return _result(tree, config, noise, prior, rng)


def _walk(
    tree: Tree,
    model: Model,
    config: SearchConfig,
    noise: np.ndarray,
    table: np.ndarray,
    turn: int,
    chance: np.random.Generator | None,
    rest: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """One walk down every tree: its last node [N], and the trees [K] for which that is the new node `turn + 1`."""
    rule = GUMBEL if config.rule == "gumbel" else PUCT
    constants = (config.c_visit, config.c_scale, config.c_puct * (3 - model.players), model.stochastic, rest)
    num = len(noise)
    leaf, node, edge = np.zeros(num, np.int64), np.zeros(num, np.int64), np.full(num, -1)
    fresh = [np.zeros(0, np.int64)]
    while True:
        descend(rule, turn, noise, table, tree.ended, tree.child, *tree.edges, *constants, node, edge)
        walking = node >= 0
        leaf[walking] = node[walking]
        trees = np.flatnonzero(walking & (edge >= 0))
        if not len(trees):
            return leaf, np.sort(np.concatenate(fresh))
        parent, action, found = node[trees], edge[trees], np.full(len(trees), -1)
        drawn = model.advance(tree.states[trees, parent], action, chance)
        if model.stochastic:
            outcome(trees, parent, action, drawn[3], tree.key, tree.child, tree.sibling, found)
        new = found < 0
        _attach(tree, [x[new] for x in drawn], trees[new], parent[new], action[new], turn + 1)
        leaf[trees[new]] = turn + 1
        if not model.stochastic:
            return leaf, trees
        fresh.append(trees[new])
        node[:], edge[:] = -1, -1
        node[trees] = found


def _attach(
    tree: Tree, drawn: list[np.ndarray], trees: np.ndarray, parent: np.ndarray, edge: np.ndarray, node: int
) -> None:
    """Adds what was `drawn` after `edge` of `parent` to each of the `trees` as number `node`."""
    tree.states[trees, node], tree.reward[trees, node], tree.ended[trees, node], tree.key[trees, node] = drawn
    tree.parent[trees, node], tree.move[trees, node] = parent, edge
    tree.sibling[trees, node] = tree.child[trees, parent, edge]
    tree.child[trees, parent, edge] = node


def _expand(tree: Tree, model: Any, evaluate: Evaluate, lookahead: int, trees: np.ndarray, node: Any) -> None:
    """Evaluates position `node` of the `trees`, none of which has ended, and proves what `lookahead` plies prove."""
    if not len(trees):
        return
    states = tree.states[trees, node]
    logits, legal, value = evaluate(states)
    tree.logits[trees, node] = np.where(legal, logits, NONE)
    tree.value[trees, node] = value
    if lookahead:
        least, most, plies = model.foresee(states, lookahead)
        tree.least[trees, node], tree.most[trees, node] = _bounds(least, most, plies, lookahead)


def _solve(tree: Tree, model: Any, positions: int) -> None:
    """Tightens the bounds at the roots by what so many `positions` prove."""
    least, most, plies = model.foresee(tree.states[:, 0], model.longest, positions)
    later = LATER[np.maximum(plies, 1) - 1]
    soonest = later if model.early else np.ones_like(later)  # straight to the end, the result may come sooner
    tree.least[:, 0] = np.maximum(tree.least[:, 0], np.where(least > 0, later, np.where(most < 0, -soonest, least)))
    tree.most[:, 0] = np.minimum(tree.most[:, 0], np.where(most < 0, -later, np.where(least > 0, soonest, most)))


def _bounds(least: np.ndarray, most: np.ndarray, plies: np.ndarray, lookahead: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the edges' returns [K, A] from what was foreseen.

    Whatever is not proved comes later than the plies that were searched: all of them, or those before the soonest win.
    """
    soonest = np.where(least == 1, plies, lookahead + 1).min(axis=1, keepdims=True)
    later = LATER[np.where(plies > 0, plies, soonest) - 1]
    return least * later, most * later


def _mix_noise(tree: Tree, prior: np.ndarray, config: SearchConfig, rng: np.random.Generator) -> None:
    drawn = rng.standard_gamma(config.dirichlet, size=prior.shape) + 1e-12
    drawn *= tree.logits[:, 0] > NONE
    mixed = (1 - config.noise_share) * prior + config.noise_share * drawn / drawn.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        tree.logits[:, 0] = np.log(mixed)


def _result(
    tree: Tree, config: SearchConfig, noise: np.ndarray, prior: np.ndarray, rng: np.random.Generator | None
) -> Result:
    num, visits = len(prior), tree.visits[:, 0]
    policy, value, action = np.zeros_like(prior), np.zeros(num, np.float32), np.zeros(num, np.int64)
    kept = np.zeros_like(visits, np.bool_)
    summarise(noise, *tree.edges, config.c_visit, config.c_scale, policy, value, action, kept)
    count = visits.sum(axis=1)
    if config.rule == "puct" and tree.ended.shape[1] > 1:
        best = np.where(kept, visits, 0)
        best = np.where(best.any(axis=1, keepdims=True), best, kept)  # every visited action is proved lost
        policy = (best / best.sum(axis=1, keepdims=True)).astype(np.float32)
        mean = (tree.value[:, 0] + tree.total[:, 0].sum(axis=1)) / (1 + count)
        low, high = (np.where(prior > 0, x[:, 0], NONE).max(axis=1) for x in (tree.least, tree.most))
        value = mean.clip(low, high).astype(np.float32)
        unknown = np.full(visits.shape, np.finfo(np.float64).min)
        mean = np.divide(tree.total[:, 0], visits, out=unknown, where=visits > 0)
        most = best == best.max(axis=1, keepdims=True)  # of equally many visits the better mean decides
        action = np.where(high < 0, action, np.where(most, mean, -np.inf).argmax(axis=1))  # lost: the longest defence
        if rng is not None:  # the first action whose cumulated share exceeds the draw
            action = (policy.cumsum(axis=1) > rng.random((num, 1)) * policy.sum(axis=1, keepdims=True)).argmax(axis=1)
    q = np.divide(tree.total[:, 0], visits, out=np.full(visits.shape, np.nan), where=visits > 0)
    return Result(action, policy, value, visits, q.astype(np.float32), prior, tree)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share: np.ndarray = exp / exp.sum(axis=-1, keepdims=True)
    return share


def principal_line(found: Result, index: int = 0) -> list[int]:
    """The action of root `index` and the most visited path after it."""
    tree, line = found.tree, [int(found.action[index])]
    node = int(tree.child[index, 0, line[0]])
    while node >= 0 and tree.visits[index, node].any():
        line.append(int(tree.visits[index, node].argmax()))
        node = int(tree.child[index, node, line[-1]])
    return line
