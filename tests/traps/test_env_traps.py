"""Traps of environments put back in, one switch each: the claim that guards against it must then fail.

The claims are tests of tests/envs; here each is run again with the fault in place.
"""

from __future__ import annotations

import numpy as np
import pytest

import envs.stream
from envs.spaces import LeafCast
from envs.stream import Stream
from envs.vector.base import Outcome
from envs.vector.native import Native
from envs.vector.serial import Serial
from tests.envs import test_factory, test_stream


def truncation_wins(monkeypatch):
    """T2: terminated and truncated together bootstraps."""
    step = Serial.step

    def wrong(self, actions, starts):
        outcome = step(self, actions, starts)
        ended = [te and not tr for te, tr in zip(outcome.terminated, outcome.truncated, strict=True)]
        return outcome._replace(terminated=ended)

    monkeypatch.setattr(Serial, "step", wrong)


def autoreset_stored_as_a_transition(monkeypatch):
    """T3: the row of an autoreset is not marked `first`."""
    step = Stream.step
    monkeypatch.setattr(
        Stream, "step", lambda self, action: (lambda row: row._replace(first=row.first & False))(step(self, action))
    )


def reset_observation_in_the_place_of_the_final_one(monkeypatch):
    """T4: SAME_STEP's observation after the reset ends the episode."""
    monkeypatch.setattr(Native, "raw", lambda self, cast: np.asarray(cast.find(self._observations)))


def lives_not_looked_at(monkeypatch):
    """T14: the lost life is no end of the return."""
    monkeypatch.setattr(Stream, "_lives_of", lambda self, info: self._lives)


def lost_life_as_a_full_reset(monkeypatch):
    """T14: the game starts anew at each lost life."""
    step = Serial.step

    def wrong(self, actions, starts):
        outcome = step(self, actions, starts)
        lives = outcome.info.get("lives")
        lost = [new % 3 != 0 for new in lives] if lives else outcome.terminated
        return outcome._replace(terminated=lost)

    monkeypatch.setattr(Serial, "step", wrong)


def rewards_clipped_by_the_environment(monkeypatch):
    """T15: the score is that of clipped rewards."""
    step = Serial.step
    monkeypatch.setattr(
        Serial, "step", lambda self, a, s: (lambda o: Outcome(np.sign(o.reward), *o[1:]))(step(self, a, s))
    )


def one_seed_for_all_environments(monkeypatch):
    """T19."""
    right = envs.stream.derive_seed
    monkeypatch.setattr(envs.stream, "derive_seed", lambda seed, stream, i, k=0: right(seed, stream, 0, k))


def one_seed_for_all_episodes(monkeypatch):
    """T20."""
    right = envs.stream.derive_seed
    monkeypatch.setattr(envs.stream, "derive_seed", lambda seed, stream, i, k=0: right(seed, stream, i, 0))


def observations_not_copied(monkeypatch):
    """T24."""
    monkeypatch.setattr(LeafCast, "__call__", lambda self, raw: raw)


def reset_forgets_the_pending_autoreset(monkeypatch):
    """T28: after an explicit reset the next action is ignored, as if the episode had yet to start."""
    begin = Stream._begin

    def wrong(self, info):
        ended = getattr(self, "_ended", False)
        before = getattr(self, "_row", None)
        row = begin(self, info)
        if ended:
            self._ended, self._row = True, row._replace(last=before.last)
        return row

    monkeypatch.setattr(Stream, "_begin", wrong)


CASES = [
    (truncation_wins, lambda: test_stream.test_t2_discount_is_zero_exactly_where_terminated("both", 0)),
    (
        autoreset_stored_as_a_transition,
        lambda: test_stream.test_t3_pairs_of_rows_are_consecutive_times_of_one_episode("sync"),
    ),
    (
        reset_observation_in_the_place_of_the_final_one,
        lambda: test_factory.test_t4_every_autoreset_mode_gives_the_same_rows("SameStep", "terminated"),
    ),
    (lives_not_looked_at, test_stream.test_t14_lost_life_ends_the_return_but_not_the_game),
    (lost_life_as_a_full_reset, test_stream.test_t14_lost_life_ends_the_return_but_not_the_game),
    (rewards_clipped_by_the_environment, test_stream.test_t15_rewards_are_raw),
    (
        one_seed_for_all_environments,
        lambda: test_stream.test_t19_first_observations_of_parallel_environments_are_distinct("sync"),
    ),
    (
        one_seed_for_all_episodes,
        test_stream.test_t20_a_thousand_episode_starts_are_distinct_and_seeded_as_named,
    ),
    (
        observations_not_copied,
        lambda: test_stream.test_t24_rows_of_an_environment_that_reuses_one_array_stay_distinct(1),
    ),
    (
        reset_forgets_the_pending_autoreset,
        lambda: test_stream.test_t28_reset_after_an_end_and_then_a_step_gives_time_one("sync"),
    ),
]


@pytest.mark.parametrize(("put_back", "claim"), CASES, ids=[case[0].__name__ for case in CASES])
def test_the_claim_fails_with_the_trap_put_back_and_holds_without(put_back, claim, monkeypatch):
    claim()
    put_back(monkeypatch)
    with pytest.raises(AssertionError):
        claim()
