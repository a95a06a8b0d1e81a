"""Traps of search and self-play: each claim holds, and fails with its trap put back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rl.search.search
from agents.alphazero import AlphaZero
from rl.search.model import Evaluate, Model
from rl.search.search import Result
from tests.agents import test_alphazero as claims
from tests.rl.search import test_search as search_claims

Patch = pytest.MonkeyPatch
GUMBEL = search_claims.RULES[0]


def the_value_of_the_wrong_player(patch: Patch) -> None:
    batch = AlphaZero.batch
    patch.setattr(AlphaZero, "batch", lambda self, w: batch(self, w._replace(reward=-w.reward)))


def one_sign_for_both_players(patch: Patch) -> None:
    def back_up(leaf, ended, parent, move, visits, total, reward, logits, least, most, value, *rest):  # type: ignore[no-untyped-def]
        for i in range(len(leaf)):
            at = leaf[i]
            result = 0.0 if ended[i, at] else value[i, at]
            while at > 0:
                result = reward[i, at] + result
                a, at = move[i, at], parent[i, at]
                total[i, at, a] += result
                visits[i, at, a] += 1

    patch.setattr(rl.search.search, "back_up", back_up)


def an_unfinished_search(patch: Patch) -> None:
    descend = rl.search.search.descend

    def stop(rule, turn, noise, table, ended, child, *rest):  # type: ignore[no-untyped-def]
        descend(rule, turn, noise, table, ended, child, *rest)
        if turn > 20:
            rest[-1][:], rest[-2][:] = -1, 0  # every tree stays at its root

    patch.setattr(rl.search.search, "descend", stop)


def evaluating_a_terminal_state(patch: Patch) -> None:
    attach = rl.search.search._attach

    def forget(tree, model: Model, trees, parent, edge, node: int) -> None:  # type: ignore[no-untyped-def]
        attach(tree, model, trees, parent, edge, node)
        tree.ended[trees, node] = False

    patch.setattr(rl.search.search, "_attach", forget)


def the_mirror_without_its_policy(patch: Patch) -> None:
    transformed = AlphaZero.transformed

    def boards_only(self, which, obs, legal, policy):  # type: ignore[no-untyped-def]
        return transformed(self, which, obs, legal, policy)[0], legal, policy

    patch.setattr(AlphaZero, "transformed", boards_only)


def noise_in_evaluation(patch: Patch) -> None:
    plan = AlphaZero.plan
    patch.setattr(AlphaZero, "plan", lambda self, ts, many, rng, noise: plan(self, ts, many, rng, True))


def illegal_actions_keep_their_prior(patch: Patch) -> None:
    search = search_claims.search

    def unmasked(model: Model, evaluate: Evaluate, states: np.ndarray, *rest: object) -> Result:
        def blind(leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            logits, legal, value = evaluate(leaves)
            return logits, np.ones_like(legal), value

        return search(model, blind, states, *rest)  # type: ignore[arg-type]

    patch.setattr(search_claims, "search", unmasked)


TRAPS: dict[str, tuple[Callable[[], None], Callable[[Patch], None]]] = {
    "wrong player": (
        claims.test_the_value_target_is_the_outcome_for_the_player_to_move,
        the_value_of_the_wrong_player,
    ),
    "one sign": (lambda: search_claims.test_the_sign_flips_at_every_ply(GUMBEL), one_sign_for_both_players),
    "unfinished": (
        lambda: search_claims.test_a_search_makes_all_of_its_simulations_before_it_answers(GUMBEL),
        an_unfinished_search,
    ),
    "terminal": (lambda: search_claims.test_the_sign_flips_at_every_ply(GUMBEL), evaluating_a_terminal_state),
    "mirror": (
        lambda: claims.test_a_mirrored_position_has_the_mirrored_policy("TicTacToe"),
        the_mirror_without_its_policy,
    ),
    "noise": (claims.test_evaluation_plays_without_noise, noise_in_evaluation),
    "mask": (
        lambda: search_claims.test_illegal_actions_are_never_visited_and_have_no_share(GUMBEL),
        illegal_actions_keep_their_prior,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_the_claim_fails_with_the_trap_put_back(trap: str, monkeypatch: Patch) -> None:
    claim, switch = TRAPS[trap]
    claim()
    switch(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        claim()
