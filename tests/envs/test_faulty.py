"""Environments that break Gymnasium's rules: converted where that is safe, else refused in one line, never a hang."""

from __future__ import annotations

import logging
import time

import gymnasium
import numpy as np
import pytest

import envs
from envs import trial
from envs.config import EnvConfig
from envs.vector import workers
from envs.vector.single import Single
from rl.errors import InputError, NonFiniteError, RunError
from tests.envs.faulty import EPISODE, INFOS, FailsOnce, Game

HERE = "tests.envs.faulty"
WAYS = pytest.mark.parametrize("vector", ["sync", "async"])


def make(name, vector="sync", num_envs=2, config=None, **options):
    config = {"vector": vector, **(config or {})}
    return envs.make(f"{HERE}:{name}", num_envs=num_envs, config=EnvConfig(options=options, **config))


def play(env, steps, allowed=0):
    rows = [env.reset()]
    for _ in range(steps):
        rows.append(env.step(np.full(env.num_envs, allowed, np.int64)))
    return rows


@WAYS
@pytest.mark.parametrize("kind", INFOS)
def test_infos_that_change_type_or_shape_neither_hang_nor_fail(kind, vector):
    with make("Infos", vector, kind=kind) as env:
        rows = play(env, 3 * EPISODE)
    assert [k for k, row in enumerate(rows) if row.last[0]] == [EPISODE, 2 * EPISODE + 1]


@WAYS
@pytest.mark.parametrize(
    "kind", ["int_ends", "no_truncated", "array_ends", "array_reward", "int_reward", "word_lives", "array_lives"]
)
def test_step_results_that_convert_safely_are_converted(kind, vector):
    with make("Steps", vector, kind=kind) as env:
        rows = play(env, EPISODE)
    assert [row.last[0] for row in rows] == [False] * EPISODE + [True]
    assert all(row.reward[0] == 1 for row in rows[1:]) and rows[-1].discount[0] == 0


@pytest.mark.parametrize("end", [(True, False), (False, True)])
@pytest.mark.parametrize("kind", [np.bool_, int, np.array])
def test_ends_of_another_type_are_not_mixed_up(end, kind):
    class Ends(Game):
        def step(self, action):
            return np.zeros(2, np.float32), 1.0, *map(kind, end), {}

    single = Single(Ends(), 0)
    single.reset(0)
    assert single.step(0)[2:4] == end


def test_the_mask_of_an_info_comes_before_that_of_the_method():
    class Both(Game):
        action_space = gymnasium.spaces.Discrete(2)

        def action_masks(self):
            return [True, False]

        def step(self, action):
            return np.zeros(2, np.float32), 1.0, False, False, {"action_mask": [False, True]}

    single = Single(Both(), 0)
    assert single.reset(0)[1]["action_mask"].tolist() == [True, False]
    assert single.step(0)[4]["action_mask"].tolist() == [False, True]


@WAYS
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("word_reward", "gave the reward 'good': it must be a number"),
        ("two_rewards", r"gave the reward array\(\[1., 1.\]\): it must be a number"),
        ("end_of_two", "gave terminated=2: it must be True or False"),
        ("word_end", "gave terminated='no': it must be True or False"),
        ("list_info", r"gave the info \[3\]: it must be a dict"),
        ("short_mask", "gave an action mask of 3 entries, the action space has 4 choices"),
        ("word_mask", "gave the action mask 'all': it must be an array of 0 and 1"),
    ],
)
def test_step_results_without_a_safe_meaning_are_one_line(kind, said, vector):
    with make("Steps", vector, kind=kind) as env, pytest.raises(RunError, match=said) as caught:
        play(env, 2)
    assert str(caught.value).startswith(f"{HERE}:Steps: environment ") and "\n" not in str(caught.value)


@WAYS
def test_lives_that_are_no_number_matter_only_with_life_loss(vector):
    said = r"environment \d gave info\['lives'\]='three': life_loss needs a whole number"
    with (
        make("Steps", vector, config={"life_loss": True}, kind="word_lives") as env,
        pytest.raises(RunError, match=said),
    ):
        play(env, 2)


def test_a_step_that_hangs_ends_in_one_line_that_names_environment_and_call(monkeypatch):
    monkeypatch.setattr(workers, "CALL_LIMIT", 5.0)
    monkeypatch.setattr(workers, "CLOSE_LIMIT", 1.0)
    begun = time.monotonic()
    said = r"Hangs: environment 0 did not answer within 5 s in step\(\)"
    with make("Hangs", "async", seconds=600) as env, pytest.raises(RunError, match=said):
        play(env, 4)
    assert time.monotonic() - begun < 30


def test_a_close_that_hangs_is_terminated(monkeypatch):
    monkeypatch.setattr(workers, "CLOSE_LIMIT", 1.0)
    env = make("Hangs", "async", seconds=600, where="close")
    begun = time.monotonic()
    env.close()
    assert time.monotonic() - begun < 10 and not any(p.is_alive() for p in env._vector._vec.processes)


def test_a_close_that_raises_is_one_line_and_ends_nothing(caplog):
    with caplog.at_level(logging.WARNING), make("BadClose") as env:
        play(env, 3)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"environment {i} raised OSError: the simulator is gone" for i in range(2)
    ]


def test_an_error_names_file_and_line_of_the_users_code(tmp_path, monkeypatch):
    (tmp_path / "breaks_in_line_4.py").write_text(
        "from tests.envs.faulty import Game\nclass Breaks(Game):\n    def step(self, action):\n        return 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with envs.make("breaks_in_line_4:Breaks") as env, pytest.raises(RunError) as caught:
        play(env, 1)
    where = f"({tmp_path}/breaks_in_line_4.py, line 4)"
    assert str(caught.value).endswith(f"environment 0 raised ZeroDivisionError: division by zero {where}")


@WAYS
@pytest.mark.parametrize("kind", ["action_mask", "action_masks", "method"])
def test_every_convention_of_masks_is_read(kind, vector):
    with make("Masks", vector, kind=kind) as env:
        assert env.spec.masked
        rows = play(env, 2 * EPISODE, allowed=2)
    assert all((row.mask == [True, False, True, False]).all() for row in rows if not row.last[0])
    assert rows[EPISODE].mask.all(axis=1).all() or (rows[EPISODE].mask == [True, False, True, False]).all()


@WAYS
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("one_entry", "an action mask of 1 entries, the action space has 4 choices"),
        ("reset_only", "environment 0 gave no action mask, but its first reset gave one"),
        ("step_only", "an environment gave an action mask in a step, but none at its reset"),
    ],
)
def test_a_mask_that_comes_sometimes_or_is_too_short_is_one_line(kind, said, vector):
    with pytest.raises(RunError, match=f"Masks: .*{said}"), make("Masks", vector, kind=kind) as env:
        play(env, 2)


@pytest.mark.parametrize("kind", ["action_mask", "action_masks", "method"])
def test_the_timing_of_an_environment_plays_allowed_actions_only(kind, monkeypatch):
    """A forbidden action raises, and an environment that raises is not taken for worker processes."""
    monkeypatch.setattr(trial, "usable_cores", lambda: 8)
    with make("Masks", "auto", num_envs=4, kind=kind) as env:
        assert env.spec.options["vector"] == "async"


@pytest.mark.parametrize("name", ["Lengths", "NoOptions"])
@pytest.mark.parametrize("kind", ["visible", "hidden", "waiting"])
def test_a_vector_environment_that_ignores_reset_mask_keeps_its_own_autoresets(kind, name):
    env = make(name, "auto", num_envs=3, kind=kind)
    assert env.resume_level == "episode"
    lengths, counts = [set(), set(), set()], np.zeros(3, int)
    env.reset()
    for _ in range(60):
        row = env.step(np.ones(3, np.int64))
        counts = np.where(row.first, 0, counts + 1)
        for i in np.flatnonzero(row.last):
            lengths[i].add(int(counts[i]))
    assert lengths == [{3}, {5}, {7}]


@pytest.mark.parametrize(("how", "length"), [("nan", 1000), ("raise", 1000), ("nan", 5), ("raise", 5)])
def test_a_step_that_fails_leaves_the_row_before_it_to_be_resumed_exactly(how, length, monkeypatch):
    """With length 5 environment 0 starts its next episode in the very step that fails."""
    monkeypatch.setattr(FailsOnce, "made", 0)
    monkeypatch.setattr(FailsOnce, "armed", True)
    env = make("FailsOnce", how=how, length=length)
    row = play(env, 5)[-1]
    with pytest.raises((RunError, NonFiniteError)):
        env.step(np.zeros(2, np.int64))
    state = env.state_dict()
    assert state["length"].tolist() == [5, 5] and state["episode"] == [0, 0]
    monkeypatch.setattr(FailsOnce, "armed", False)
    monkeypatch.setattr(FailsOnce, "made", 0)
    again = make("FailsOnce", how=how, length=length)
    restored = again.load_state_dict(state)
    assert again.resume_level == "exact" and (restored.obs["obs"] == row.obs["obs"]).all()
    after = again.step(np.zeros(2, np.int64))
    assert after.first.tolist() == [length == 5, False] and after.info["episode"].tolist() == [int(length == 5), 0]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_a_native_vector_environment_resumes_exactly_at_an_end_in_every_mode(mode):
    pytest.importorskip("numba")
    config = EnvConfig(vector="native", options={"autoreset_mode": mode})
    env = envs.make("Arcade/Breakout-v1", num_envs=4, seed=1, config=config)
    rng = np.random.default_rng(0)
    row = env.reset()
    while not row.last.any():
        row = env.step(rng.integers(0, 3, 4))
    other = envs.make("Arcade/Breakout-v1", num_envs=4, seed=1, config=config)
    restored = other.load_state_dict(env.state_dict())
    assert other.resume_level == "exact" and (restored.obs["obs"] == row.obs["obs"]).all()
    for _ in range(20):
        action = rng.integers(0, 3, 4)
        a, b = env.step(action), other.step(action)
        assert (a.obs["obs"] == b.obs["obs"]).all() and (a.first == b.first).all() and (a.reward == b.reward).all()


@WAYS
@pytest.mark.parametrize("name", ["Game", "DrawsNothing"])
def test_an_environment_without_a_picture_is_worded_alike_in_workers_and_here(name, vector):
    config = EnvConfig(vector=vector)
    with envs.make(f"{HERE}:{name}", num_envs=2, config=config, render=True) as env:
        env.reset()
        with pytest.raises(InputError, match="^this environment gives no picture: it has no render_mode 'rgb_array'$"):
            env.render()


@WAYS
@pytest.mark.parametrize(
    ("kind", "name"),
    [("actions", "action_space"), ("action_bounds", "action_space"), ("observation_bounds", "observation_space")],
)
def test_copies_with_other_spaces_or_bounds_are_refused_before_anything_starts(kind, name, vector, tmp_path):
    said = rf"Differs.*environment \d has the {name} .*, the first one made has .*: make all of them equal"
    with pytest.raises(InputError, match=said):
        make("Differs", vector, num_envs=3, kind=kind, file=str(tmp_path / "made"))
