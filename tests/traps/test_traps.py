"""Every trap has a switch that puts it back and a claim that is seen to fail under it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.traps import claims, critics, switches

TRAPS: dict[str, tuple[Callable[[], None], Callable[[pytest.MonkeyPatch], None]]] = {
    "T1": (claims.time_limits_bootstrap, switches.death_at_time_limits),
    "T2": (claims.an_end_that_is_also_a_time_limit_does_not_bootstrap, switches.time_limits_win_over_death),
    "T3": (claims.no_transition_leads_from_an_episode_to_the_next, switches.reset_rows_as_transitions),
    "T4": (claims.the_final_observation_is_the_next_one, switches.reset_observation_for_the_final_one),
    "T5": (claims.the_final_observation_is_the_next_one, switches.one_array_replay),
    "T6": (claims.a_sample_never_crosses_the_head, switches.head_is_crossed),
    "T7": (claims.n_step_returns_stop_at_an_end_with_the_right_power, switches.wrong_power_of_gamma),
    "T8": (claims.a_stack_holds_one_episode, switches.stack_across_episodes),
    "T9": (claims.stale_priorities_are_ignored, switches.stale_priorities_are_written),
    "T10": (claims.new_rows_enter_at_the_live_maximum, switches.maximum_for_ever),
    "T11": (claims.a_nan_priority_is_refused, switches.nan_priorities_are_taken),
    "T12": (claims.target_syncs_keep_their_schedule_across_reloads, switches.reload_resets_the_target_counter),
    "T13": (claims.epsilon_follows_the_counted_steps, switches.reload_restarts_epsilon),
    "T13 by slots": (claims.epsilon_follows_the_counted_steps, switches.counted_by_slots),
    "T14": (claims.a_lost_life_is_no_end_of_the_game, switches.lost_life_ends_the_game),
    "T15": (claims.scores_are_raw_while_the_learner_sees_clipped_rewards, switches.clipped_scores),
    "T16": (claims.evaluation_leaves_the_normaliser_alone, switches.evaluation_updates_the_normaliser),
    "T16 with critics": (
        claims.evaluation_leaves_a_critics_normaliser_alone,
        switches.evaluation_updates_the_normaliser,
    ),
    "T17": (claims.advantages_are_cut_at_the_first_row_of_an_episode, switches.advantages_run_across_episodes),
    "T18": (claims.memory_restarts_with_the_episode, switches.memory_is_never_reset),
    "T19": (claims.parallel_environments_start_differently, switches.one_seed_for_all),
    "T20": (claims.episodes_start_differently, switches.one_seed_for_ever),
    "T21": (claims.evaluation_does_not_touch_the_training, switches.evaluation_uses_the_training_stream),
    "T22": (claims.episode_statistics_are_cut_at_resets, switches.statistics_across_resets),
    "T23": (claims.a_nan_behind_an_end_does_no_harm, switches.nan_by_multiplication),
    "T24": (claims.rows_stay_when_the_environment_reuses_its_array, switches.rows_share_one_array),
    "T25": (claims.pictures_are_scaled_once, switches.scaled_twice),
    "T26": (claims.evaluation_does_not_explore, switches.epsilon_in_evaluation),
    "T26 density": (
        claims.the_stored_log_probability_is_that_of_the_drawn_action,
        switches.log_probability_after_the_clip,
    ),
    "T27": (claims.a_single_row_has_no_spread_to_divide_by, switches.divided_by_the_spread_of_one),
    "T1 with critics": (critics.a_time_limit_bootstraps, switches.death_at_time_limits),
    **critics.TRAPS,
}


@pytest.mark.parametrize("trap", TRAPS)
def test_the_claim_holds(trap: str) -> None:
    TRAPS[trap][0]()


@pytest.mark.parametrize("trap", TRAPS)
def test_the_claim_fails_with_the_trap_put_back(trap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, switch = TRAPS[trap]
    switch(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        claim()
