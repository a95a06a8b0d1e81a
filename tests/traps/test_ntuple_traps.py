"""Traps of learning a board game by temporal differences: each claim holds, and fails with its trap put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents.ntuple import NTuple
from envs.boards.model import BoardModel
from rl.networks import tuples
from rl.networks.tuples import TupleNetwork
from tests.agents import test_ntuple as claims
from tests.rl import test_networks_tuples as network_claims

Patch = pytest.MonkeyPatch


def one_sign_for_both_players(patch: Patch) -> None:
    look_ahead = BoardModel.look_ahead

    def unsigned(*args: Any) -> Any:
        q, value, settled = look_ahead(*args)
        return np.abs(q), np.abs(value), settled

    patch.setattr(BoardModel, "look_ahead", unsigned)


def the_loser_takes_the_reward(patch: Patch) -> None:
    learn = NTuple._learn
    patch.setattr(NTuple, "_learn", lambda self, games, value: learn(self, games, -value))


def random_moves_count_as_the_best(patch: Patch) -> None:
    learn = NTuple._learn

    def forget(self: NTuple, games: np.ndarray, value: np.ndarray) -> Any:
        self._waiting["greedy"][:] = True
        return learn(self, games, value)

    patch.setattr(NTuple, "_learn", forget)


def guessing_what_is_proved(patch: Patch) -> None:
    look_ahead = BoardModel.look_ahead

    def guessed(self: BoardModel, states: np.ndarray, *args: Any) -> Any:
        q, value, settled = look_ahead(self, states, *args)
        return np.where(np.abs(q) == 1, 0.25, q), np.where(settled, 0.25, value), np.zeros(len(states), bool)

    patch.setattr(BoardModel, "look_ahead", guessed)


def one_table_for_both_parities(patch: Patch) -> None:
    values = TupleNetwork.values

    def even(self: TupleNetwork, boards: np.ndarray) -> np.ndarray:
        self.weights.data[1] = self.weights.data[0]
        return values(self, boards)

    patch.setattr(TupleNetwork, "values", even)


def no_mirror(patch: Patch) -> None:
    layout = tuples._layout
    patch.setattr(tuples, "_layout", lambda cells, board: layout(cells[:1], board))


def a_game_that_was_cut_counts_as_over(patch: Patch) -> None:
    update = NTuple.update

    def over(self: NTuple) -> Any:
        self._row = self._row._replace(first=np.zeros_like(self._row.first))
        return update(self)

    patch.setattr(NTuple, "update", over)


TRAPS: dict[str, tuple[Callable[[], None], Callable[[Patch], None]]] = {
    "one sign": (
        lambda: claims.test_the_targets_are_the_lambda_returns_of_both_players(0.5),
        one_sign_for_both_players,
    ),
    "wrong player": (
        lambda: claims.test_the_targets_are_the_lambda_returns_of_both_players(1.0),
        the_loser_takes_the_reward,
    ),
    "random move": (claims.test_a_random_move_cuts_the_return, random_moves_count_as_the_best),
    "proof": (claims.test_a_proved_result_needs_no_network, guessing_what_is_proved),
    "full board": (claims.test_a_full_board_that_is_not_marked_as_last_teaches_nothing, guessing_what_is_proved),
    "cut": (claims.test_a_game_that_is_cut_teaches_nothing, a_game_that_was_cut_counts_as_over),
    "parity": (
        network_claims.test_even_and_odd_numbers_of_stones_have_tables_of_their_own,
        one_table_for_both_parities,
    ),
    "mirror": (
        lambda: network_claims.test_the_compiled_values_are_those_of_pytorch("ConnectFour"),
        no_mirror,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_the_claim_fails_with_the_trap_put_back(trap: str, monkeypatch: Patch) -> None:
    claim, switch = TRAPS[trap]
    claim()
    switch(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        claim()
