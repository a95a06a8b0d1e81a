"""Atari games: protocols, lives, seeds, pictures."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs
from envs.atari import PROTOCOLS, games, is_atari, protocol_for
from envs.config import EnvConfig
from rl.errors import InputError
from rl.seeding import derive_seed
from runs.recipe import resolve

ale_py = pytest.importorskip("ale_py")


def play(env, steps, seed=0, actions=None):
    rng = np.random.default_rng(seed)
    rows = [env.reset()]
    for t in range(steps):
        rows.append(
            env.step(rng.integers(env.spec.action.nvec[0], size=env.num_envs) if actions is None else actions[t])
        )
    return rows


def test_spec_of_pong_under_nature():
    spec = envs.spec("ALE/Pong-v5")
    leaf = spec.obs["obs"]
    assert (leaf.shape, leaf.dtype, leaf.kind, leaf.layout, leaf.scale) == ((1, 84, 84), "uint8", "image", "CHW", 255.0)
    assert spec.protocol == "nature" and spec.action.nvec == (6,) and spec.max_episode_steps == 27_000
    assert spec.action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def test_protocols_differ_in_the_way_they_are_known_to():
    assert [PROTOCOLS[name].sticky for name in ("nature", "dopamine", "machado", "100k")] == [0, 0.25, 0.25, 0]
    assert [PROTOCOLS[name].life_loss for name in ("nature", "dopamine", "machado", "100k")] == [
        True,
        False,
        False,
        True,
    ]
    assert [PROTOCOLS[name].noop_max for name in ("nature", "dopamine", "machado", "100k")] == [30, 0, 0, 30]
    assert envs.spec("ALE/Pong-v5", EnvConfig(protocol="machado")).action.nvec == (18,)


def test_options_change_the_protocols_name_too():
    protocol = protocol_for(EnvConfig(protocol="nature", options={"repeat_action_probability": 0.25}))
    assert protocol.sticky == 0.25 and protocol.name == "nature repeat_action_probability=0.25"
    assert protocol_for(EnvConfig(options={"noop_max": 30})).name == "nature"


def test_the_two_kinds_of_id_are_one_game():
    assert is_atari("ALE/MsPacman-v5") and is_atari("MsPacmanNoFrameskip-v4") and not is_atari("CartPole-v1")
    a, b = (play(envs.make(id), 5)[-1].obs["obs"] for id in ("ALE/Pong-v5", "PongNoFrameskip-v4"))
    assert (a == b).all()


def test_other_ids_of_ale_lead_to_the_one_atari_path():
    assert envs.spec("ale_py:ALE/Pong-v5") == envs.spec("ALE/Pong-v5")
    for id in ("MsPacman-v4", "MsPacmanNoFrameskip-v0"):
        with pytest.raises(InputError, match="use 'ALE/MsPacman-v5'"):
            envs.make(id)


def test_t14_lost_lives_end_the_return_and_the_game_goes_on():
    config = EnvConfig(protocol="nature")
    with envs.make("ALE/Breakout-v5", num_envs=2, config=config) as env:
        rows = play(env, 700)
    lives = np.array([row.info["lives"] for row in rows])
    first, last = np.array([row.first for row in rows]), np.array([row.last for row in rows])
    discount = np.array([row.discount for row in rows])
    lost = (np.diff(lives, axis=0) < 0) & ~first[1:]
    assert (discount[1:][lost] == 0).all() and (discount[1:][~lost & ~first[1:]] == 1).all()
    assert lost.sum() > last.sum() * 4 and (lives[first] == 5).all() and (lives[last] == 0).all()
    assert last.sum() >= 2 and (first[1:] == last[:-1]).all()


def test_without_life_loss_only_the_games_end_has_discount_zero():
    with envs.make("ALE/Breakout-v5", config=EnvConfig(protocol="dopamine")) as env:
        rows = play(env, 300)
    assert all(row.discount[0] == (not row.last[0]) for row in rows if not row.first[0])
    assert sum(row.last[0] for row in rows) >= 1


def test_t15_rewards_are_raw_scores():
    """Space Invaders pays 5 to 30 a hit: a clipped reward would be 1."""
    with envs.make("ALE/SpaceInvaders-v5") as env:
        rewards = {float(row.reward[0]) for row in play(env, 300)}
    assert max(rewards) >= 5 and all(reward % 5 == 0 for reward in rewards)


@pytest.mark.parametrize("protocol", ["nature", "dopamine"])
def test_a_game_is_decided_by_its_seed_whoever_plays_it(protocol):
    """Game 3 played third by one console of three, and by the fourth of four, sticky actions included."""
    config = EnvConfig(protocol=protocol, max_steps=12)
    seen = []
    for num_envs in (1, 3):
        frames = {}
        with envs.make("ALE/Breakout-v5", num_envs=num_envs, games=4, config=config) as env:
            row = env.reset()
            while (row.info["game"] >= 0).any():
                for i, game in enumerate(row.info["game"].tolist()):
                    if game >= 0:
                        frames.setdefault(game, []).append((row.obs["obs"][i].tobytes(), float(row.reward[i])))
                        assert row.info["seed"][i] == derive_seed(0, "evaluate", game)
                # the action depends on the game's own time, not on who plays it
                taken = [len(frames.get(game, ())) % 4 for game in row.info["game"].tolist()]
                row = env.step(np.array(taken))
        seen.append(frames)
    assert seen[0] == seen[1] and [len(seen[0][game]) for game in range(4)] == [13] * 4
    assert len({tuple(frames) for frames in seen[0].values()}) > 1


def test_rows_equal_those_of_ales_own_vector_environment():
    from ale_py.vector_env import AtariVectorEnv

    fixed = {"stack_num": 1, "reward_clipping": False, "use_fire_reset": False}
    theirs = AtariVectorEnv("pong", 2, **fixed)
    seeds = np.array([derive_seed(4, "train", i, 0) for i in range(2)])
    frame, _ = theirs.reset(seed=seeds)
    with envs.make("ALE/Pong-v5", num_envs=2, seed=4) as env:
        row = env.reset()
        rng = np.random.default_rng(0)
        for _ in range(60):
            assert (row.obs["obs"] == frame).all()
            action = rng.integers(6, size=2)
            row = env.step(action)
            frame, reward, *_ = theirs.step(action)
            assert (row.reward == reward).all()


def test_t24_frames_of_successive_rows_do_not_share_memory():
    with envs.make("ALE/Pong-v5", num_envs=2) as env:
        rows = play(env, 3)
    assert not np.shares_memory(rows[1].obs["obs"], rows[2].obs["obs"])


def test_the_colour_twin_stays_in_lock_step_with_the_grey_frames():
    with envs.make("ALE/Pong-v5", num_envs=2, render=True, config=EnvConfig(protocol="dopamine", max_steps=20)) as env:
        env.reset()
        for _ in range(40):
            row = env.step(np.array([2, 3]))
        pictures = env.render()
    assert [picture.shape for picture in pictures] == [(210, 160, 3)] * 2 and pictures[0].dtype == np.uint8
    cv2 = pytest.importorskip("cv2")
    for picture, frame in zip(pictures, row.obs["obs"][:, 0], strict=True):
        grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (84, 84), interpolation=cv2.INTER_AREA)
        assert np.abs(grey.astype(int) - frame.astype(int)).mean() < 3
    assert (pictures[0] != pictures[1]).any()


def test_the_twin_does_not_change_the_rows():
    rows = []
    for render in (False, True):
        with envs.make("ALE/Breakout-v5", render=render) as env:
            rows.append(play(env, 30)[-1].obs["obs"])
    assert (rows[0] == rows[1]).all()


def test_what_atari_does_not_know_is_refused_in_one_line():
    with pytest.raises(InputError, match="unknown Atari game 'Pongg': did you mean 'Pong'"):
        envs.make("ALE/Pongg-v5")
    with pytest.raises(InputError, match="unknown protocol 'natur': did you mean 'nature'"):
        envs.make("ALE/Pong-v5", config=EnvConfig(protocol="natur"))
    with pytest.raises(InputError, match="unknown option of Atari 'frame_skip': did you mean 'frameskip'"):
        envs.make("ALE/Pong-v5", config=EnvConfig(options={"frame_skip": 2}))
    with pytest.raises(InputError, match="protocol 'nature' is for Atari games, 'CartPole-v1' is none"):
        envs.make("CartPole-v1", config=EnvConfig(protocol="nature"))
    with pytest.raises(InputError, match="vector='sync': Atari games run in ALE's own"):
        envs.make("ALE/Pong-v5", config=EnvConfig(vector="sync"))
    with envs.make("ALE/Pong-v5") as env, pytest.raises(InputError, match="pass render=True"):
        env.render()


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ale_py", None)
    games.cache_clear()
    with pytest.raises(InputError, match="Atari needs the package ale-py .*pip install ale-py"):
        envs.make("ALE/Pong-v5")
    assert "CartPole-v1" in envs.ids()


def test_every_id_of_gymnasium_is_known():
    gymnasium.register_envs(ale_py)
    known = {id for id in gymnasium.registry if id.startswith("ALE/")}
    assert known <= set(envs.ids()) and "Pong-v4" not in envs.ids()
    with pytest.raises(InputError, match="unknown recipe or environment 'Pong-v4': did you mean 'ALE/Pong-v5'"):
        resolve("Pong-v4")
    assert resolve("PongNoFrameskip-v4").env == "PongNoFrameskip-v4"
