"""The arcade games as Gymnasium environments: one stream of games, however they are batched."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.arcade import GAMES, ArcadeEnv, ArcadeVectorEnv, benchmark
from rl.errors import InputError

ROOT = Path(__file__).parents[2]


def play(env: Any, actions: np.ndarray, seed: Any = 0) -> list[Any]:
    """Everything that happens: observations, rewards and ends, one entry for each step."""
    course = [env.reset(seed=seed)[0]]
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(action)
        course.append((obs, reward, terminated, truncated, info["score"]))
        if isinstance(env, ArcadeEnv) and (terminated or truncated):
            course.append(env.reset()[0])
    return course


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    return np.array_equal(a, b)


def random_actions(game: str, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(ArcadeEnv(game).action_space.n, size=shape)


@pytest.mark.parametrize("game", GAMES)
def test_spaces_are_minatars(game: str) -> None:
    import minatar.gym

    if f"MinAtar/{game}-v1" not in gym.registry:
        minatar.gym.register_envs()
    theirs = gym.make(f"MinAtar/{game}-v1", disable_env_checker=True)
    ours = gym.make(f"Arcade/{game}-v1")
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert ours.observation_space.dtype == theirs.observation_space.dtype == np.bool_
    assert ours.action_space == theirs.action_space
    assert [
        ours.unwrapped.games.codes[a] for a in range(ours.action_space.n)
    ] == theirs.unwrapped.game.minimal_action_set()


@pytest.mark.parametrize("game", GAMES)
def test_gymnasiums_checker_finds_nothing(
    game: str, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # it tries the window too
    check_env(gym.make(f"Arcade/{game}-v1", render_mode="rgb_array").unwrapped)
    assert [str(w.message) for w in recwarn if "gym" in w.filename] == []


def test_make_vec_picks_the_native_environment_and_passes_options() -> None:
    env = gym.make_vec("Arcade/Asterix-v1", num_envs=3, max_episode_steps=7, sticky_action_prob=0.0)
    assert type(env) is ArcadeVectorEnv
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert env.observation_space.shape == (3, 10, 10, 4)
    env.reset(seed=0)
    for t in range(1, 8):
        _, _, terminated, truncated, _ = env.step(np.zeros(3, int))
        assert truncated.all() == (t == 7) and not terminated.any()


@pytest.mark.parametrize("game", GAMES)
def test_a_game_takes_the_same_course_alone_and_in_any_batch(game: str) -> None:
    actions = random_actions(game, 400, 5)
    batch = ArcadeVectorEnv(game, 5, autoreset_mode=AutoresetMode.SAME_STEP)
    course = play(batch, actions, seed=40)
    alone = ArcadeEnv(game)
    obs, _ = alone.reset(seed=43)
    assert np.array_equal(obs, course[0][3])
    for t, (obs_n, reward, terminated, truncated, score) in enumerate(course[1:]):
        obs, r, end, cut, info = alone.step(actions[t, 3])
        assert (r, end, cut) == (reward[3], terminated[3], truncated[3])
        if end or cut:
            obs, info = alone.reset()
        assert np.array_equal(obs, obs_n[3]) and info["score"] == score[3]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("game", GAMES)
def test_autoreset_modes_equal_gymnasiums_own_vectoriser(game: str, mode: AutoresetMode) -> None:
    options = {"max_episode_steps": 60}
    ours = ArcadeVectorEnv(game, 4, autoreset_mode=mode, **options)
    theirs = SyncVectorEnv([lambda: ArcadeEnv(game, **options)] * 4, autoreset_mode=mode)
    assert equal(ours.reset(seed=[5, 9, 2, 7])[0], theirs.reset(seed=[5, 9, 2, 7])[0])
    ends = 0
    for t, action in enumerate(random_actions(game, 200, 4)):
        a, b = ours.step(action), theirs.step(action)
        assert equal(list(a[:4]), list(b[:4]))
        done = a[2] | a[3]
        ends += done.sum()
        if mode == AutoresetMode.SAME_STEP and done.any():
            assert np.array_equal(a[4]["_final_obs"], b[4]["_final_obs"])
            assert all(np.array_equal(a[4]["final_obs"][i], b[4]["final_obs"][i]) for i in np.flatnonzero(done))
            assert equal(a[4]["final_info"]["score"][done], b[4]["final_info"]["score"][done])
        if mode == AutoresetMode.DISABLED and done.any():
            seeds = [1000 + 4 * t + i for i in range(4)]
            a2 = ours.reset(seed=seeds, options={"reset_mask": done})
            b2 = theirs.reset(seed=seeds, options={"reset_mask": done.copy()})
            assert equal(a2[0], b2[0])
    assert ends >= 8


def test_a_masked_seeded_reset_gives_the_same_episode_whatever_came_before() -> None:
    actions = random_actions("Seaquest", 300, seed=3)
    courses = []
    for num, index, before in ((1, 0, 0), (3, 1, 50), (7, 6, 333)):
        env = ArcadeVectorEnv("Seaquest", num)
        env.reset(seed=before)
        for action in random_actions("Seaquest", before, num, seed=before):
            env.step(action)
        mask = np.arange(num) == index
        seeds = [77 if hit else None for hit in mask]
        course = [env.reset(seed=seeds, options={"reset_mask": mask})[0][index]]
        for action in actions:
            course += [part[index] for part in env.step(np.full(num, action))[:4]]
        courses.append(course)
    assert equal(courses[0], courses[1]) and equal(courses[0], courses[2])


def test_a_masked_reset_leaves_the_others_as_they_are() -> None:
    env = ArcadeVectorEnv("Asterix", 3, autoreset_mode="Disabled")
    env.reset(seed=0)
    before = env.step(np.array([1, 2, 3]))[0]
    options = {"reset_mask": np.array([False, True, False])}
    after, info = env.reset(seed=9, options=options)
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert np.array_equal(after[1], ArcadeVectorEnv("Asterix", 3).reset(seed=9)[0][1])
    assert list(info["_score"]) == [False, True, False]
    assert "reset_mask" in options  # the caller's dictionary is left alone


def test_threads_do_not_change_a_course() -> None:
    actions = random_actions("SpaceInvaders", 400, 64)
    expected = play(ArcadeVectorEnv("SpaceInvaders", 64), actions, seed=list(range(64)))
    halves: dict[int, Any] = {}

    def half(k: int) -> None:
        env = ArcadeVectorEnv("SpaceInvaders", 32)
        halves[k] = play(env, actions[:, 32 * k : 32 * k + 32], seed=list(range(32 * k, 32 * k + 32)))

    threads = [threading.Thread(target=half, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for t, whole in enumerate(expected):
        both = [np.concatenate(pair) for pair in zip(halves[0][t], halves[1][t])] if t else None
        assert equal(list(whole), both) if both else np.array_equal(whole, np.concatenate([halves[0][0], halves[1][0]]))


@pytest.mark.parametrize("game", GAMES)
def test_each_step_returns_arrays_of_its_own(game: str) -> None:
    env = ArcadeVectorEnv(game, 2)
    kept = [env.reset(seed=0)[0], *(env.step(np.array([1, 1]))[0] for _ in range(3))]
    copies = [obs.copy() for obs in kept]
    for _ in range(20):
        env.step(np.array([0, 1]))
    assert equal(kept, copies)
    assert not any(np.shares_memory(a, b) for a in kept for b in kept if a is not b)


@pytest.mark.parametrize("game", GAMES)
def test_a_restored_state_continues_exactly(game: str) -> None:
    actions = random_actions(game, 600, 3)
    env = ArcadeVectorEnv(game, 3)
    env.reset(seed=1)
    for action in actions[:200]:
        obs = env.step(action)[0]
    saved = env.get_state()
    expected = [env.step(action) for action in actions[200:]]
    other = ArcadeVectorEnv(game, 3)
    assert np.array_equal(other.set_state(saved), obs)
    assert all(equal(list(other.step(a)[:4]), list(b[:4])) for a, b in zip(actions[200:], expected))
    assert all(isinstance(value, np.ndarray) and value.dtype.names is None for value in saved["rows"].values())

    alone = ArcadeEnv(game)
    one = {**saved, "rows": {name: value[:1] for name, value in saved["rows"].items()}}
    assert np.array_equal(alone.set_state(one), obs[0])


@pytest.mark.parametrize("game", GAMES)
def test_every_state_of_play_can_be_restored_and_none_off_the_board(game: str) -> None:
    env = ArcadeVectorEnv(game, 64, max_episode_steps=500)
    env.reset(seed=2)
    for action in random_actions(game, 1_000, 64):
        env.step(action)
        env.set_state(env.get_state())
    saved = env.get_state()
    rules = env.games.game
    for field, (low, high) in rules.RANGES.items():
        for value in (low - 1, high + 1):
            with pytest.raises(InputError, match=f"field '{field}' of the saved state is not within {low} to {high}"):
                env.set_state({**saved, "rows": {**saved["rows"], field: np.full_like(saved["rows"][field], value)}})
    for field in getattr(rules, "LISTS", ()):
        rows = {**saved["rows"], f"num_{field}": np.full(64, 1, np.int8)}
        rows[field] = np.full_like(rows[field], 10)
        with pytest.raises(InputError, match=f"field '{field}' of the saved state has something off the board"):
            env.set_state({**saved, "rows": rows})


def test_a_deep_copy_goes_its_own_way() -> None:
    env = ArcadeEnv("Asterix")
    env.reset(seed=0)
    before = env.get_state()["rows"]
    twin = copy.deepcopy(env)
    steps = [twin.step(action)[0] for action in (1, 2, 3, 4)]
    assert all(np.array_equal(before[name], value) for name, value in env.get_state()["rows"].items())
    assert equal(steps, [env.step(action)[0] for action in (1, 2, 3, 4)])


def test_a_state_of_another_game_version_or_size_is_refused_in_one_line() -> None:
    breakout, asterix = ArcadeVectorEnv("Breakout", 2), ArcadeVectorEnv("Asterix", 2)
    breakout.reset(seed=0)
    state = breakout.get_state()
    for env, bad, words in (
        (asterix, state, "of the game 'Breakout', this is 'Asterix'"),
        (breakout, {**state, "version": "0.9"}, "of version '0.9'"),
        (ArcadeVectorEnv("Breakout", 3), state, "as many environments as were saved"),
        (breakout, {**state, "rows": {}}, "was altered"),
        (breakout, {**state, "rows": None}, "was altered"),
        (breakout, {**state, "rows": {**state["rows"], "paddle": [[1], [1, 2]]}}, "'paddle' of the saved"),
        (breakout, {"rows": {}}, "use what get_state returned"),
    ):
        with pytest.raises(InputError, match=words) as error:
            env.set_state(bad)
        assert "\n" not in str(error.value)


def test_the_score_is_the_sum_of_rewards_and_survives_until_the_reset() -> None:
    env = ArcadeEnv("SpaceInvaders")
    _, info = env.reset(seed=0)
    total, ended = 0.0, False
    for action in random_actions("SpaceInvaders", 1000):
        assert info["score"] == total
        if ended:
            break
        _, reward, ended, _, info = env.step(action)
        total += reward
    assert ended and total > 0
    assert env.reset()[1]["score"] == 0


def test_a_sticky_step_repeats_what_was_last_played() -> None:
    for prob, low, high in ((0.0, 0.0, 0.0), (0.1, 0.08, 0.12), (1.0, 1.0, 1.0)):
        env = ArcadeVectorEnv("Freeway", 2000, sticky_action_prob=prob)
        env.reset(seed=0)
        env.step(np.ones(2000, int))  # up, or still nothing where it stuck
        before = env.state["last_action"].copy()
        env.step(np.full(2000, 2))  # down
        stuck = env.state["last_action"] == before
        assert low <= stuck.mean() <= high


def test_without_ramping_the_game_never_becomes_harder() -> None:
    for ramping, harder in ((True, True), (False, False)):
        env = ArcadeVectorEnv("Asterix", 200, difficulty_ramping=ramping)
        env.reset(seed=0)
        levels = 0
        for action in random_actions("Asterix", 300, 200):
            env.step(action)
            levels += int(env.state["ramp_level"].sum())
        assert (levels > 0) == harder


@pytest.mark.parametrize("action", [3, -1, 1.0, "left", None, [1], [[0], [1, 2]], np.array([0, 1]), True])
def test_a_wrong_action_is_refused_and_changes_nothing(action: Any) -> None:
    env = ArcadeEnv("Breakout")
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(InvalidAction, match="whole number in \\[0, 3\\)") as error:
        env.step(action)
    assert "\n" not in str(error.value)
    after = env.get_state()
    assert all(np.array_equal(after["rows"][name], before["rows"][name]) for name in before["rows"])


@pytest.mark.parametrize(
    "actions", [[0, 1, 3], [0, -1, 0], [0, 1], [[0, 1, 2]], [[0], [1, 2]], [0.0, 1.0, 2.0], 1, "abc"]
)
def test_wrong_actions_of_a_batch_are_refused_and_change_nothing(actions: Any) -> None:
    env = ArcadeVectorEnv("Breakout", 3)
    env.reset(seed=0)
    before = env.state.copy()
    with pytest.raises(InvalidAction, match="for environment|of shape \\(3,\\)"):
        env.step(actions)
    assert np.array_equal(env.state, before)


def test_out_of_order_calls_raise_what_gymnasium_users_expect() -> None:
    for env, action in ((ArcadeEnv("Breakout"), 0), (ArcadeVectorEnv("Breakout", 2), [0, 0])):
        with pytest.raises(ResetNeeded, match="call reset"):
            env.step(action)
        env.reset(seed=0)
        env.close()
        env.close()
        for call in (env.reset, lambda e=env, a=action: e.step(a), env.render):
            with pytest.raises(ClosedEnvironmentError, match="make a new one"):
                call()

    env = ArcadeEnv("Breakout", max_episode_steps=2)
    env.reset(seed=0)
    env.step(0)
    env.step(0)
    with pytest.raises(ResetNeeded, match="has ended"):
        env.step(0)

    batch = ArcadeVectorEnv("Breakout", 2, max_episode_steps=1, autoreset_mode="Disabled")
    batch.reset(seed=0)
    batch.step([0, 0])
    with pytest.raises(ResetNeeded, match="environment 0 has ended"):
        batch.step([0, 0])


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sticky": 0.1}, "unknown option 'sticky'"),
        ({"sticky_action_prob": 1.5}, "between 0 and 1, got 1.5"),
        ({"sticky_action_prob": "often"}, "between 0 and 1"),
        ({"sticky_action_prob": True}, "between 0 and 1, got True"),
        ({"difficulty_ramping": 2}, "True or False, got 2"),
        ({"render_mode": "ansi"}, "'rgb_array' or 'human', got 'ansi'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, Any], words: str) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(InputError, match=words) as error:
            make("Arcade/Breakout-v1", **options)
        assert "\n" not in str(error.value)


def test_wrong_values_of_vector_options_and_resets_are_refused() -> None:
    with pytest.raises(InputError, match="num_envs must be a whole number of at least 1, got 0"):
        ArcadeVectorEnv("Breakout", 0)
    with pytest.raises(InputError, match="max_episode_steps must be None or at least 1, got 0"):
        ArcadeVectorEnv("Breakout", 1, max_episode_steps=0)
    with pytest.raises(InputError, match="autoreset_mode must be one of"):
        ArcadeVectorEnv("Breakout", 1, autoreset_mode="never")
    with pytest.raises(InputError, match="unknown arcade game 'Pong'"):
        ArcadeEnv("Pong")
    with pytest.raises(InputError, match="unknown arcade game '3'"):
        ArcadeEnv(3)  # type: ignore[arg-type]
    env = ArcadeVectorEnv("Breakout", 2)
    for seed in (-1, [0, -1], [0.5, 1]):
        with pytest.raises(gym.error.Error, match="a seed must be a whole number of at least 0"):
            env.reset(seed=seed)
    with pytest.raises(InputError, match="got 3"):
        env.reset(seed=[1, 2, 3])
    for mask in ([True, False], np.array([1, 0]), np.array([True]), np.zeros(2, bool)):
        with pytest.raises(InputError, match="reset_mask must"):
            env.reset(options={"reset_mask": mask})
    for seed in (1.5, object()):
        with pytest.raises(gym.error.Error, match="seed must be None, a whole number or a list of them"):
            env.reset(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown reset option 'mask'"):
        env.reset(options={"mask": 1})
    with pytest.raises(InputError, match="options must be None or a dictionary with reset_mask"):
        env.reset(options=["reset_mask"])  # type: ignore[arg-type]
    for options in ({"mask": 1}, ["mask"]):
        with pytest.raises(InputError, match="a single game has no reset options"):
            ArcadeEnv("Breakout").reset(options=options)  # type: ignore[arg-type]


@pytest.mark.parametrize("game", GAMES)
def test_pictures_are_drawn_without_a_display(game: str) -> None:
    env = gym.make_vec(f"Arcade/{game}-v1", num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.array([1, 1]))
    pictures = env.render()
    alone = gym.make(f"Arcade/{game}-v1", render_mode="rgb_array")
    alone.reset(seed=0)
    alone.step(1)
    assert len(pictures) == 2
    assert pictures[0].dtype == np.uint8 and pictures[0].ndim == 3 and pictures[0].std() > 0
    assert np.array_equal(pictures[0], alone.render())


def run_python(code: str, cwd: Path = ROOT, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_window_follows_the_game() -> None:
    code = """
import gymnasium, envs
env = gymnasium.make("Arcade/Seaquest-v1", render_mode="human")
env.reset(seed=0)
for _ in range(2):
    env.step(1)
assert env.render() is None
env.close()
print("shown")
"""
    assert "shown" in run_python(code, SDL_VIDEODRIVER="dummy")


def test_importing_loads_neither_numba_nor_torch() -> None:
    code = """
import sys, envs, envs.arcade, gymnasium
assert "Arcade/Seaquest-v1" in gymnasium.registry
print([name for name in ("numba", "torch", "pygame") if name in sys.modules])
"""
    assert run_python(code).strip() == "[]"
    assert "envs:" not in envs.__name__
    code = 'import gymnasium; print(gymnasium.make_vec("envs:Arcade/Breakout-v1", num_envs=2))'
    assert "ArcadeVectorEnv" in run_python(code)


@pytest.mark.full
def test_compiled_code_is_kept_and_never_outlives_its_rules(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for room in ("envs", "rl"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "envs" / "__init__.py").write_text("")
    code = """
import logging
told = []
handler = logging.Handler()
handler.emit = told.append
logging.getLogger("envs").addHandler(handler)
from envs.arcade import ArcadeEnv
env = ArcadeEnv("Breakout", sticky_action_prob=0.0)
env.reset(seed=0)
env.state["ball_y"], env.state["dy"] = 4, -1  # a brick is next
reward = env.step(0)[1]
stats = env.games.kernels.advance.stats
print(reward, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), len(told))
"""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run_python(code, tree, **cache).split() == ["1.0", "0", "1", "1"]  # said, too
    assert run_python(code, tree, **cache).split() == ["1.0", "1", "0", "0"]
    rules = tree / "envs" / "arcade" / "breakout.py"
    rules.write_text(rules.read_text().replace("reward = 1\n", "reward = 7\n"))
    assert run_python(code, tree, **cache).split() == ["7.0", "0", "1", "1"]


def test_an_unwritable_cache_falls_back_to_a_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code = """
from envs.arcade.engine import cache_folder
folder = cache_folder("Breakout")
assert folder.is_dir()
print(folder)
"""
    folder = Path(run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "file" / "cache")).strip())
    assert not folder.is_relative_to(tmp_path / "file") and not folder.exists()  # removed at exit


def test_stable_baselines3_trains_unchanged() -> None:
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", gym.make("Arcade/Breakout-v1"), n_steps=500, batch_size=250, n_epochs=2, seed=0)
    model.learn(2000)
    assert model.num_timesteps == 2000


def test_the_benchmark_counts_steps() -> None:
    assert benchmark("Breakout", num_envs=64, seconds=0.1) > 10_000


def test_the_lists_of_seaquest_are_long_enough() -> None:
    """At the last stage of the ramp something enters on every step; a list that is too short would lose enemies."""
    env = ArcadeVectorEnv("Seaquest", 200, sticky_action_prob=0.0)
    env.reset(seed=0)
    state = env.state
    most = dict.fromkeys(("shots", "bombs", "fish", "subs", "divers"), 0)
    for _ in range(1500):
        state["spawn_period"], state["move_period"] = 1, 2
        state["oxygen"], state["ended"] = 200, False  # a submarine that nothing can stop, firing all the time
        env.step(np.full(200, 5))
        for name in most:
            most[name] = max(most[name], int(state[f"num_{name}"].max()))
    assert most["fish"] > 15 and most["subs"] > 10 and most["bombs"] > 5
    assert all(most[name] < state[name].shape[1] for name in most), most
