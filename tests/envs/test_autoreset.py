"""The rows of a vector environment do not depend on how it resets: each autoreset mode equals single environments."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.interface import TimeStep
from rl.seeding import derive_seed
from tests.envs.test_resume import assert_equal_rows

MODES = ("NextStep", "SameStep", "Disabled")
HERE = "tests.envs.strange"


def rows_of(
    id: str, num_envs: int, steps: int, reset_at: int = -1, games: int | None = None, **config
) -> list[TimeStep]:
    """The first row and `steps` more, with a reset of all environments instead of step `reset_at`."""
    rng = np.random.default_rng(1)
    with envs.make(id, num_envs=num_envs, seed=3, games=games, config=EnvConfig(**config)) as env:
        rows = [env.reset()]
        for t in range(steps):
            action = rng.integers(env.spec.action.nvec[0], size=num_envs)
            rows.append(env.reset() if t == reset_at else env.step(action))
    return rows


def assert_equal_streams(a: list[TimeStep], b: list[TimeStep]) -> None:
    for one, other in zip(a, b, strict=True):
        assert_equal_rows(one, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_each_autoreset_mode_gives_the_rows_of_single_environments(mode: str, end: str) -> None:
    """Episodes of 1 to 4 steps: one, two or three environments end together, and one ends twice running."""
    options = {"length": 4, "random": True, "end": end}
    single = rows_of("Probe/Counting-v0", 3, 120, vector="sync", options=options)
    ends = np.array([row.last for row in single])
    assert {1, 2, 3} <= set(ends.sum(1)) and (ends[:-2] & ends[2:]).any()
    assert_equal_streams(single, rows_of(f"{HERE}:counting", 3, 120, options={"mode": mode, **options}))


@pytest.mark.parametrize("mode", MODES)
def test_a_reset_of_all_in_the_middle_of_episodes_and_after_an_end_gives_the_same_rows_too(mode: str) -> None:
    options = {"length": 7, "random": True}
    single = rows_of("Probe/Counting-v0", 3, 60, vector="sync", options=options)
    after_an_end = next(t for t, row in enumerate(single) if t > 20 and row.last.any())
    for at in (after_an_end, after_an_end + 1):
        single = rows_of("Probe/Counting-v0", 3, 60, at, vector="sync", options=options)
        assert (single[at + 1].info["episode"] == single[at].info["episode"] + 1).all() and single[at + 1].first.all()
        assert_equal_streams(single, rows_of(f"{HERE}:counting", 3, 60, at, options={"mode": mode, **options}))


@pytest.mark.parametrize("mode", MODES)
def test_each_autoreset_mode_plays_a_list_of_games_alike(mode: str) -> None:
    options = {"length": 7, "random": True}
    single = rows_of("Probe/Counting-v0", 3, 30, games=8, vector="sync", options=options)
    native = rows_of(f"{HERE}:counting", 3, 30, games=8, options={"mode": mode, **options})
    assert (single[-1].info["game"] < 0).all()
    for a, b in zip(single, native, strict=True):
        plays = a.info["game"] >= 0
        assert (a.info["game"] == b.info["game"]).all() and (a.obs["obs"][plays] == b.obs["obs"][plays]).all()
        for name in ("reward", "discount", "first", "last"):
            assert (getattr(a, name) == getattr(b, name)).all(), name


@pytest.mark.parametrize("mode", MODES)
def test_max_steps_of_a_vector_environment_is_a_truncation(mode: str) -> None:
    options = {"length": 7, "random": True}
    single = rows_of("Probe/Counting-v0", 3, 80, vector="sync", max_steps=4, options=options)
    native = rows_of(f"{HERE}:counting", 3, 80, max_steps=4, options={"mode": mode, **options})
    discounts = {(row.obs["obs"][i, 1], row.discount[i]) for row in native for i in range(3) if row.last[i]}
    assert discounts == {(1, 0), (2, 0), (3, 0), (4, 0), (4, 1)}, "death, and the cap after four steps"
    assert_equal_streams(single, native)


@pytest.mark.parametrize("mode", MODES)
def test_each_autoreset_mode_of_an_arcade_game_gives_the_rows_of_single_games(mode: str) -> None:
    single = rows_of("Arcade/Asterix-v1", 4, 300, vector="sync", max_steps=60)
    native = rows_of("Arcade/Asterix-v1", 4, 300, max_steps=60, options={"autoreset_mode": mode})
    ends = [row.discount[i] for row in native for i in range(4) if row.last[i]]
    assert 0 in ends and 1 in ends
    assert_equal_streams(single, native)


@pytest.mark.parametrize("vector", ["sync", *MODES])
def test_a_lost_life_ends_the_return_and_a_gained_or_unnamed_one_does_not(vector: str) -> None:
    kind = {"id": f"{HERE}:ExtraLife", "vector": vector}
    if vector != "sync":
        kind = {"id": f"{HERE}:extra_life", "options": {"mode": vector}}
    rows = rows_of(**kind, num_envs=3, steps=60, life_loss=True)
    discounts = [[1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 0]]  # lives 3, 2, 3, 1, 2, 0, and 3, unnamed, 3, 1, 0
    seen = set()
    for row in rows:
        for i, (course, t) in enumerate(row.obs["obs"].astype(int).tolist()):
            assert row.discount[i] == (0 if row.first[i] else discounts[course][t])
            seen.add((course, t, bool(row.last[i])))
    assert seen == {(k, t, t == len(d) - 1) for k, d in enumerate(discounts) for t in range(len(d))}


def test_starting_ended_environments_at_once_gives_the_episodes_of_the_stream() -> None:
    """What Stable-Baselines3 sees: no `first` row of its own, and the other environments wait."""
    options = {"length": 4, "random": True}
    for id, config in (
        ("Probe/Counting-v0", {"vector": "sync"}),
        (f"{HERE}:counting", {}),
        ("Probe/Counting-v0", {"vector": "async"}),
    ):
        with envs.make(id, num_envs=3, seed=3, config=EnvConfig(**config, options=options, max_steps=3)) as env:
            row, clock, episodes = env.reset(), np.zeros(3, int), np.zeros(3, int)
            for _ in range(40):
                row, before = env.step(np.zeros(3, np.int64)), row
                clock += 1
                assert (row.obs["obs"][:, 1] == clock).all() and not row.first.any()
                assert (row.obs["obs"][:, 0] == before.obs["obs"][:, 0]).all() and (row.reward == clock).all()
                ended = row.last
                assert (clock[~ended] < 3).all() and (clock[ended & (row.discount == 1)] == 3).all(), "max_steps"
                row = env.start_ended()
                clock[ended] = 0
                episodes[ended] += 1
                assert (row.obs["obs"][:, 1] == clock).all() and (row.first == ended).all() and not row.last.any()
                assert row.info["seed"].tolist() == [derive_seed(3, "train", i, int(k)) for i, k in enumerate(episodes)]


def test_starting_ended_environments_at_once_leaves_the_others_as_they_were() -> None:
    config = EnvConfig(vector="sync", flicker=0.5, options={"length": 4, "random": True})
    waited = 0
    with envs.make("Probe/Counting-v0", num_envs=3, seed=3, config=config) as env:
        env.reset()
        for _ in range(60):
            before = env.step(np.zeros(3, np.int64))
            row = env.start_ended()
            assert (row.obs["obs"][~before.last] == before.obs["obs"][~before.last]).all()
            waited += int(before.last.any() and not before.last.all())
    assert waited > 20


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_state_resumes_after_the_end_of_an_episode_in_each_autoreset_mode(mode: str) -> None:
    config = EnvConfig(max_steps=30, options={"autoreset_mode": mode})
    made = [envs.make("Arcade/Asterix-v1", num_envs=4, seed=3, config=config) for _ in range(2)]
    with made[0] as env, made[1] as other:
        row = env.reset()
        while not row.last.any() or row.last.all():
            row = env.step(np.arange(4))
        assert_equal_rows(row, other.load_state_dict(env.state_dict()))
        for _ in range(40):
            assert_equal_rows(env.step(np.arange(4)), other.step(np.arange(4)))
        assert other.resume_level == "exact"
