"""Hidden velocities, memory tasks, and the values that probes promise."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig


@pytest.mark.parametrize(
    ("base", "hidden"),
    [("CartPole-v1", [1, 3]), ("LunarLander-v3", [2, 3, 5]), ("Pendulum-v1", [2]), ("MountainCarContinuous-v0", [1])],
)
def test_no_velocity_variants_drop_exactly_the_velocities(base, hidden):
    from envs.partial import NO_VELOCITY

    full, part = envs.make(base), envs.make(NO_VELOCITY[base])
    assert part.spec.max_episode_steps == full.spec.max_episode_steps
    assert part.spec.reward_threshold == full.spec.reward_threshold
    kept = [i for i in range(full.spec.obs["obs"].shape[0]) if i not in hidden]
    a, b = full.reset(), part.reset()
    for _ in range(40):
        assert (a.obs["obs"][:, kept] == b.obs["obs"]).all() and (a.reward == b.reward).all()
        action = np.zeros((1, *full.spec.action.shape), full.spec.action.dtype)
        a, b = full.step(action), part.step(action)
    assert envs.spec(base, EnvConfig(no_velocity=True)) == part.spec


def test_no_velocity_pictures_and_limits_are_the_originals():
    with envs.make("CartPole-NoVelocity-v1", render=True) as env:
        env.reset()
        assert env.render()[0].shape == (400, 600, 3)
    env = envs.make("Pendulum-NoVelocity-v1")
    env.reset()
    lasts = [bool(env.step(np.zeros((1, 1), np.float32)).last[0]) for _ in range(201)]
    assert lasts.index(True) == 199


def play(env, policy, episodes):
    """Returns of whole episodes; `policy(row, memory)` gives the action, memory is emptied at each start."""
    row, returns, total, memory = env.reset(), [], 0.0, []
    while len(returns) < episodes:
        if row.first[0]:
            total, memory = 0.0, []
        memory.append(row.obs["obs"][0])
        row = env.step(np.array([policy(memory)]))
        total += row.reward[0]
        if row.last[0]:
            returns.append(total)
    return returns


def test_remember_the_cue_pays_who_remembers_and_half_of_those_who_guess():
    env = envs.make("Memory/RememberCue-v0")
    assert play(env, lambda memory: int(np.argmax(memory[0][:2])), 20) == [1.0] * 20
    assert 0.3 < np.mean(play(env, lambda memory: 0, 100)) < 0.7


def test_remember_the_cue_hides_it_for_the_whole_delay():
    env = envs.make("Memory/RememberCue-v0", config=EnvConfig(options={"delay": 5, "cues": 3}))
    rows = [env.reset()] + [env.step(np.zeros(1, np.int64)) for _ in range(6)]
    assert rows[0].obs["obs"][0, :3].sum() == 1
    assert all(not row.obs["obs"].any() for row in rows[1:5])
    assert rows[5].obs["obs"][0].tolist() == [0, 0, 0, 1]
    assert [row.last[0] for row in rows] == [False] * 6 + [True] and rows[6].discount[0] == 0


def test_repeat_previous_returns_the_share_of_right_answers():
    env = envs.make("Memory/RepeatPrevious-v0", config=EnvConfig(options={"k": 3}))
    right = play(env, lambda memory: int(np.argmax(memory[-4])) if len(memory) > 3 else 0, 3)
    assert np.allclose(right, 1.0, atol=1e-5)
    assert 0.15 < np.mean(play(env, lambda memory: 0, 10)) < 0.35


def test_bad_sizes_of_memory_tasks_are_refused():
    from rl.errors import InputError

    for id, options in (("Memory/RememberCue-v0", {"delay": 0}), ("Memory/RepeatPrevious-v0", {"k": 100})):
        with pytest.raises(InputError, match="cannot be made: ValueError"):
            envs.make(id, config=EnvConfig(options=options))


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("Constant", lambda obs: 0, [10.0]),
        ("OneStep", lambda obs: 0, [1.0]),
        ("TwoStep", lambda obs: 0, [1.0]),
        ("ActionReward", lambda obs: 1, [1.0]),
        ("ActionReward", lambda obs: 0, [-1.0]),
        ("ObsAction", lambda obs: int(obs[0] > 0), [1.0]),
        ("ObsReward", lambda obs: 0, [-1.0, 1.0]),
        ("Five", lambda obs: 0, [40.0]),
        ("Both", lambda obs: 0, [1.0]),
        ("Lives", lambda obs: 0, [12.0]),
    ],
)
def test_probes_return_what_their_docstrings_say(name, policy, expected):
    returns = play(envs.make(f"Probe/{name}-v0"), lambda memory: policy(memory[-1]), 20)
    assert set(returns) == set(expected)


def test_the_echo_probe_pays_the_whole_length_to_one_step_of_memory():
    env = envs.make("Probe/Echo-v0")
    assert play(env, lambda memory: int(memory[-2][0]) if len(memory) > 1 else 0, 10) == [8.0] * 10


def test_the_target_probe_pays_zero_for_the_target():
    env = envs.make("Probe/Target-v0")
    row = env.reset()
    assert abs(env.step(row.obs["obs"]).reward[0]) < 1e-12


@pytest.mark.parametrize("id", [id for id in gymnasium.registry if id.startswith(("Probe/", "Memory/"))])
def test_every_registered_id_can_be_made(id):
    row = envs.make(id).reset()
    assert row.first.all()


def pictures(id: str, seed: int, actions: list[int], **options: int) -> list[np.ndarray]:
    env = envs.make(id, config=EnvConfig(options=options), seed=seed, render=True)
    env.reset()
    shown = [env.render()[0]]
    for action in actions:
        env.step(np.array([action]))
        shown.append(env.render()[0])
    return shown


def test_pictures_of_remember_the_cue_show_it_first_and_last_and_never_between():
    games = {}
    for seed in range(20):
        env = envs.make("Memory/RememberCue-v0", config=EnvConfig(options={"delay": 3}), seed=seed)
        games[int(env.reset().obs["obs"][0].argmax())] = pictures("Memory/RememberCue-v0", seed, [0] * 4, delay=3)
    assert set(games) == {0, 1}
    same = [bool((a == b).all()) for a, b in zip(games[0], games[1])]
    assert same == [False, True, True, True, False]
    assert all(picture.dtype == np.uint8 and picture.shape == (360, 480, 3) for picture in games[0])


def test_pictures_of_repeat_previous_show_the_card_and_judge_the_last_answer():
    actions = pictures("Memory/RepeatPrevious-v0", 0, [0, 0, 0], k=1, length=6)
    others = pictures("Memory/RepeatPrevious-v0", 0, [1, 1, 1], k=1, length=6)
    assert [bool((a == b).all()) for a, b in zip(actions, others)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("id", "names"), [("Memory/RememberCue-v0", ("A", "B")), ("Memory/RepeatPrevious-v0", ("A", "B", "C", "D"))]
)
def test_a_person_plays_the_memory_tasks_turn_by_turn_and_names_cards_by_number(id, names):
    from envs.controls import controls

    keys = controls(envs.spec(id))
    assert (keys.names, keys.fps, keys.rest) == (names, 0.0, None)
    assert [keys.action([str(k + 1)]) for k in range(len(names))] == list(range(len(names)))
