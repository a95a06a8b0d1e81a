"""Rows of a stream: first, last, discount, seeds; and what is refused."""

from __future__ import annotations

import itertools

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.errors import InputError, NonFiniteError, RunError
from rl.interface import TimeStep
from rl.seeding import derive_seed


def rows_of(env, steps, choose=None):
    """The first row and `steps` more."""
    rows = [env.reset()]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        if choose is not None:
            action = choose(rows[-1])
        elif env.spec.action.kind == "box":
            action = rng.uniform(-1, 1, (env.num_envs, env.spec.action.size)).astype(np.float32)
        else:
            action = rng.integers(env.spec.action.nvec, size=(env.num_envs, env.spec.action.size))
            action = action[:, 0] if env.spec.action.kind == "discrete" else action
        rows.append(env.step(action))
    return rows


def probe(name, num_envs=1, config=None, vector="sync", **options):
    extra = {} if config is None else config
    return envs.make(f"Probe/{name}-v0", num_envs=num_envs, config=EnvConfig(vector=vector, options=options, **extra))


def test_first_row_is_first_with_action_reward_discount_zero():
    row = envs.make("CartPole-v1", num_envs=3).reset()
    assert row.first.all() and not row.last.any()
    assert (row.action == 0).all() and (row.reward == 0).all() and (row.discount == 0).all()
    assert row.obs["obs"].shape == (3, 4) and row.obs["obs"].dtype == np.float32
    assert row.action.dtype == np.int64 and row.reward.dtype == np.float32 and row.discount.dtype == np.float32


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_t3_pairs_of_rows_are_consecutive_times_of_one_episode(vector):
    with probe("Counting", 3, length=7, random=True, vector=vector) as env:
        rows = rows_of(env, 300)
    counted = ended = 0
    for before, after in itertools.pairwise(rows):
        for i in range(3):
            (tag, t), (next_tag, next_t) = before.obs["obs"][i], after.obs["obs"][i]
            assert after.first[i] == before.last[i]
            if after.first[i]:
                assert next_t == 0 and after.reward[i] == after.discount[i] == after.action[i] == 0
            else:
                assert (next_tag, next_t) == (tag, t + 1) and after.reward[i] == t + 1
                counted += 1
            ended += after.last[i]
    lengths = sum(row.obs["obs"][i, 1] for row in rows for i in range(3) if row.last[i])
    unfinished = sum(rows[-1].obs["obs"][i, 1] for i in range(3) if not rows[-1].last[i])
    assert counted == lengths + unfinished and ended > 150


@pytest.mark.parametrize(("end", "discount"), [("terminated", 0), ("truncated", 1), ("both", 0)])
def test_t2_discount_is_zero_exactly_where_terminated(end, discount):
    rows = rows_of(probe("Counting", length=3, end=end), 3)
    assert [row.discount[0] for row in rows] == [0, 1, 1, discount]
    assert [row.last[0] for row in rows] == [False, False, False, True]


def test_t4_last_row_shows_the_final_observation_of_its_own_episode():
    rows = rows_of(probe("Counting", length=5), 30)
    lasts = [k for k, row in enumerate(rows) if row.last[0]]
    assert len(lasts) == 5
    for k in lasts:
        tag, t = rows[k].obs["obs"][0]
        assert t == 5 and tag == rows[k - 1].obs["obs"][0, 0] != rows[k + 1].obs["obs"][0, 0]


def test_t14_lost_life_ends_the_return_but_not_the_game():
    rows = rows_of(probe("Lives", config={"life_loss": True}), 13)
    assert [row.discount[0] for row in rows[1:13]] == [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]
    assert [row.first[0] for row in rows] == [True] + [False] * 12 + [True]
    assert sum(row.reward[0] for row in rows[1:13]) == 12
    plain = rows_of(probe("Lives"), 12)
    assert [row.discount[0] for row in plain[1:]] == [1] * 11 + [0]


def test_lives_restored_at_a_restart_are_no_life_lost_later():
    rows = rows_of(probe("Lives", 2, config={"life_loss": True}), 26)
    assert [k for k, row in enumerate(rows) if row.discount[0] == 0 and not row.first[0]] == [4, 8, 12, 17, 21, 25]


def test_t15_rewards_are_raw():
    rows = rows_of(probe("Five", length=8), 8)
    assert sum(row.reward[0] for row in rows) == 40


@pytest.mark.parametrize("num_envs", [1, 2])
def test_t24_rows_of_an_environment_that_reuses_one_array_stay_distinct(num_envs):
    rows = rows_of(probe("OneArray", num_envs, length=5), 5)
    assert [row.obs["obs"][0, 0] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_the_row_keeps_its_own_copy_of_the_action():
    env = envs.make("CartPole-v1")
    env.reset()
    action = np.ones(1, np.int64)
    row = env.step(action)
    action[0] = 0
    assert row.action[0] == 1


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_t19_first_observations_of_parallel_environments_are_distinct(vector):
    with envs.make("CartPole-v1", num_envs=8, config=EnvConfig(vector=vector)) as env:
        assert len(np.unique(env.reset().obs["obs"], axis=0)) == 8


def test_t20_a_thousand_episode_starts_are_distinct_and_seeded_as_named():
    env = probe("Counting", 4, length=1)
    rows = rows_of(env, 500)
    seeds = [int(row.info["seed"][i]) for row in rows for i in range(4) if row.first[i]]
    tags = [int(row.obs["obs"][i, 0]) for row in rows for i in range(4) if row.first[i]]
    assert len(seeds) == len(set(seeds)) == 1004
    assert len(set(tags)) > 1000  # 2**24 tags: a rare pair may coincide
    assert seeds[:8] == [derive_seed(0, "train", i, k) for k in range(2) for i in range(4)]


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_an_episode_depends_on_its_seed_alone(vector):
    """Episode k of environment i is what a bare environment shows after reset(seed)."""
    with envs.make("Pendulum-v1", num_envs=2, seed=5, config=EnvConfig(vector=vector, max_steps=6)) as env:
        rows = rows_of(env, 20)
    for k, start in enumerate((0, 7, 14)):
        bare = gymnasium.make("Pendulum-v1")
        for i in range(2):
            observation, _ = bare.reset(seed=derive_seed(5, "train", i, k))
            assert (rows[start].obs["obs"][i] == observation).all()
            for row in rows[start + 1 : start + 6]:
                observation, reward, *_ = bare.step(row.action[i])
                assert (row.obs["obs"][i] == observation).all() and row.reward[i] == np.float32(reward)


def test_streams_have_different_seeds():
    first = [envs.make("CartPole-v1", stream=name).reset().obs["obs"][0, 0] for name in ("train", "watch")]
    assert first[0] != first[1]


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_t28_reset_after_an_end_and_then_a_step_gives_time_one(vector):
    with probe("Counting", 2, length=3, vector=vector) as env:
        assert rows_of(env, 3)[-1].last.all()
        row = env.reset()
        assert row.first.all() and (row.obs["obs"][:, 1] == 0).all()
        row = env.step(np.zeros(2, np.int64))
        assert (row.obs["obs"][:, 1] == 1).all() and not row.first.any()


def test_max_steps_truncates_and_never_lengthens():
    rows = rows_of(envs.make("CartPole-v1", config=EnvConfig(max_steps=4)), 12)
    assert [k for k, row in enumerate(rows) if row.last[0]] == [4, 9]
    assert rows[4].discount[0] == 1
    assert envs.spec("CartPole-v1", EnvConfig(max_steps=9000)).max_episode_steps == 500


@pytest.mark.parametrize("vector", ["sync", "async"])
@pytest.mark.parametrize("num_envs", [1, 3, 20])
def test_every_game_of_the_list_is_played_once_from_its_own_seed(num_envs, vector):
    if vector == "async" and num_envs == 20:
        pytest.skip("twenty processes prove nothing more")
    games = {}
    config = EnvConfig(vector=vector, options={"length": 9, "random": True})
    with envs.make("Probe/Counting-v0", num_envs=num_envs, seed=3, games=13, config=config) as env:
        row = env.reset()
        while True:
            for i in range(num_envs):
                game = int(row.info["game"][i])
                if row.first[i] and game >= 0:
                    assert row.info["seed"][i] == derive_seed(3, "evaluate", game)
                if row.last[i]:
                    assert game not in games
                    games[game] = row.obs["obs"][i].tolist()
                if game < 0:
                    assert row.first[i] and not row.last[i] and row.reward[i] == 0
            if (row.info["game"] < 0).all():
                break
            row = env.step(np.zeros(num_envs, np.int64))
    assert sorted(games) == list(range(13))
    alone = envs.make("Probe/Counting-v0", seed=3, games=13, config=EnvConfig(options={"length": 9, "random": True}))
    for game in range(13):
        row = alone.reset() if game == 0 else alone.step(np.zeros(1, np.int64))
        assert row.first[0]
        while not row.last[0]:
            row = alone.step(np.zeros(1, np.int64))
        assert games[game] == row.obs["obs"][0].tolist()


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_an_environment_is_never_stepped_after_its_end(vector):
    """Not where it starts again, and not where no game is left for it."""
    config = EnvConfig(vector=vector, options={"length": 6, "random": True})
    with envs.make("tests.envs.strange:Strict", num_envs=3, games=7, config=config) as env:
        rows = rows_of(env, 40)
    assert (rows[-1].info["game"] < 0).all() and (rows[-1].obs["obs"] == rows[-9].obs["obs"]).all()


def test_resetting_an_evaluation_begins_its_list_again():
    env = envs.make("CartPole-v1", num_envs=2, games=5)
    first = env.reset().obs["obs"]
    for _ in range(200):
        env.step(np.zeros(2, np.int64))
    again = env.reset()
    assert (again.obs["obs"] == first).all() and again.info["game"].tolist() == [0, 1]
    for _ in range(2):  # the second time when no environment has a game left
        games = set()
        while (again.info["game"] >= 0).any():
            games |= set(zip(again.info["game"].tolist(), again.last.tolist(), strict=True))
            again = env.step(np.zeros(2, np.int64))
        assert {game for game, last in games if last} == {0, 1, 2, 3, 4}
        again = env.reset()


@pytest.mark.parametrize("vector", ["sync", "async"])
@pytest.mark.parametrize(("where", "said"), [("obs", "leaf 'obs'"), ("terminal", "leaf 'obs'"), ("reward", "reward")])
def test_non_finite_numbers_are_refused_by_name(where, said, vector):
    for value in (float("nan"), float("inf")):
        with probe("NotFinite", 2, where=where, at=2, value=value, vector=vector) as env:
            env.reset()
            env.step(np.zeros(2, np.int64))
            with pytest.raises(NonFiniteError, match=f"Probe/NotFinite-v0: .*{said}.*environment 0 is not finite"):
                env.step(np.zeros(2, np.int64))


def test_a_large_finite_number_is_no_infinity():
    with probe("NotFinite", where="reward", at=1, value=1e30) as env:
        env.reset()
        assert env.step(np.zeros(1, np.int64)).reward[0] == np.float32(1e30)


def test_a_non_finite_action_is_refused_by_name():
    env = probe("Target", 2)
    env.reset()
    with pytest.raises(NonFiniteError, match="the action for environment 1 is not finite"):
        env.step(np.array([[0.0], [np.nan]], np.float32))


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_an_environment_that_raises_is_named_with_its_error(vector):
    with probe("Raises", 2, at=2, vector=vector) as env:
        env.reset()
        env.step(np.zeros(2, np.int64))
        with pytest.raises(RunError, match=r"Probe/Raises-v0: environment \d raised ValueError: the probe fails here"):
            env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("vector", ["sync", "async"])
@pytest.mark.parametrize("num_envs", [1, 2])
def test_a_wrong_shape_is_named(num_envs, vector):
    with probe("WrongShape", num_envs, at=2, vector=vector) as env:
        env.reset()
        env.step(np.zeros(num_envs, np.int64))
        with pytest.raises(RunError, match=r"Probe/WrongShape-v0: environment \d.*\(3,\).*\(1,\)"):
            env.step(np.zeros(num_envs, np.int64))


PICTURES = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
BOARDS = gymnasium.spaces.Box(0, 1, (8, 8, 3), np.uint8)
NUMBERS = gymnasium.spaces.Discrete(5)
OF_THREE = gymnasium.spaces.MultiDiscrete([3, 4], start=[0, 7])
NAMED = gymnasium.spaces.Dict(
    {"on": gymnasium.spaces.MultiBinary((2, 8, 8)), "pose": gymnasium.spaces.Box(-1, 1, (2,))}
)
POSE = np.zeros(2, np.float32)


def lying(space, lie, num_envs, vector, kind="Lies"):
    options = {"space": space, "lie": lie}
    return envs.make(f"tests.envs.strange:{kind}", num_envs=num_envs, config=EnvConfig(vector=vector, options=options))


@pytest.mark.parametrize("vector", ["sync", "async"])
@pytest.mark.parametrize(
    ("space", "lie", "said"),
    [
        (PICTURES, np.full((8, 8, 3), 0.5), "'obs' the value 0.5, its space says whole numbers from 0 to 255"),
        (PICTURES, np.full((8, 8, 3), 300), "'obs' the value 300, its space says whole numbers from 0 to 255"),
        (PICTURES, np.full((8, 8, 3), -1, np.int8), "'obs' the value -1, its space says whole numbers from 0 to 255"),
        (BOARDS, np.full((8, 8, 3), 255, np.uint8), "'obs' the value 255, its space says only 0 and 1"),
        (NUMBERS, 5, "'obs' the value 5, its space says whole numbers from 0 to 4"),
        (NUMBERS, 1.5, "'obs' the value 1.5, its space says whole numbers from 0 to 4"),
        (OF_THREE, np.array([1, 11]), "'obs' the value 11, its space says whole numbers from 7 to 10"),
        (NAMED, {"pose": POSE}, "no leaf 'on', which the observation space names"),
        (NAMED, {"on": np.full((2, 8, 8), 2), "pose": POSE}, "'on' the value 2, its space says only 0 and 1"),
        (NAMED, {"on": np.ones((2, 8, 8)), "pose": np.zeros(3)}, r"'pose' the shape \(3,\), its space says \(2,\)"),
    ],
)
def test_an_observation_that_its_leaf_cannot_hold_is_refused_not_cast(space, lie, said, vector):
    with lying(space, lie, 2, vector) as env:
        env.reset()
        env.step(np.zeros(2, np.int64))
        with pytest.raises(RunError, match=rf"Lies: environment \d gave (leaf )?{said}"):
            env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("num_envs", [1, 2])
def test_what_another_type_holds_exactly_is_taken(num_envs):
    for space, lie in [
        (PICTURES, np.full((8, 8, 3), 7.0)),
        (BOARDS, np.ones((8, 8, 3), np.int64)),
        (NUMBERS, np.float32(4.0)),
        (OF_THREE, np.array([2.0, 10.0])),
    ]:
        with lying(space, lie, num_envs, "sync") as env:
            row = rows_of(env, 3)[-1].obs["obs"]
            start = np.array(env.spec.obs["obs"].start or 0)
            assert (row.reshape(num_envs, -1) == np.reshape(lie, -1) - start).all()


@pytest.mark.parametrize("kind", ["OldReset", "OldStep", "SeedlessReset"])
def test_an_environment_of_the_old_gym_api_is_told_what_is_expected(kind):
    said = r"environment 0 raised .*Gymnasium's reset\(seed=.*truncated and info"
    with pytest.raises(RunError, match=said), lying(NUMBERS, 0, 1, "sync", kind) as env:
        rows_of(env, 1)


def test_an_action_of_the_wrong_shape_is_refused():
    env = envs.make("CartPole-v1", num_envs=2)
    env.reset()
    with pytest.raises(RunError, match=r"takes actions of shape \(2,\), got \(1,\)"):
        env.step(np.zeros(1, np.int64))


@pytest.mark.parametrize("name", ["MaskInfo", "MaskDict"])
@pytest.mark.parametrize("vector", ["sync", "async"])
def test_masks_from_info_and_from_a_dict_leaf_say_what_is_allowed_now(name, vector):
    with probe(name, 3, vector=vector) as env:
        assert env.spec.masked and list(env.spec.obs) == (["obs"] if name == "MaskInfo" else ["observation"])
        highest = lambda row: 4 - np.argmax(row.mask[:, ::-1], axis=1)  # noqa: E731
        rows = rows_of(env, 60, highest)  # the probe raises at a forbidden action
    assert rows[0].mask.dtype == bool and rows[0].mask.shape == (3, 5)
    assert all(row.mask[row.last].all() for row in rows)
    assert not all(row.mask.all() for row in rows)


def test_an_environment_without_a_mask_has_none():
    env = envs.make("CartPole-v1")
    assert env.reset().mask is None and not env.spec.masked


def test_taxi_has_a_mask_and_one_category_leaf():
    env = envs.make("Taxi-v4")
    row = env.reset()
    assert env.spec.masked and row.mask.shape == (1, 6)
    assert env.spec.obs["obs"].kind == "index" and env.spec.obs["obs"].nvec == (500,)


def test_flicker_blanks_whole_observations_at_its_rate_and_by_its_own_seed():
    config = EnvConfig(flicker=0.5, max_steps=50)
    rows = [rows_of(envs.make("Pendulum-v1", num_envs=2, config=config), 400) for _ in range(2)]
    blank = np.array([[not row.obs["obs"][i].any() for i in range(2)] for row in rows[0]])
    assert 0.42 < blank.mean() < 0.58 and 0.15 < (blank[:, 0] & blank[:, 1]).mean() < 0.35
    assert all((a.obs["obs"] == b.obs["obs"]).all() for a, b in zip(*rows, strict=True))


def test_flicker_blanks_all_leaves_of_an_observation_together():
    shown = rows_of(probe("Nested", 2), 60)
    blank = set()
    for whole, row in zip(shown, rows_of(probe("Nested", 2, config={"flicker": 0.5}), 60), strict=True):
        for i in range(2):
            dark = not row.obs["pair.1"][i].any()  # never 0 in the environment
            assert all((row.obs[k][i] == (0 if dark else leaf[i])).all() for k, leaf in whole.obs.items())
            blank.add(dark)
    assert blank == {False, True}


def test_rows_satisfy_the_protocol_and_hold_fresh_arrays():
    env = envs.make("CartPole-v1", num_envs=2)
    rows = rows_of(env, 3)
    assert all(isinstance(row, TimeStep) for row in rows)
    for name in ("action", "reward", "discount", "first", "last"):
        assert not np.shares_memory(getattr(rows[2], name), getattr(rows[3], name))


def test_bad_numbers_are_refused_before_anything_is_built():
    with pytest.raises(InputError, match="num_envs must be at least 1, got 0"):
        envs.make("CartPole-v1", num_envs=0)
    with pytest.raises(InputError, match="games must be at least 1, got 0"):
        envs.make("CartPole-v1", games=0)
    with pytest.raises(InputError, match="flicker must be in"):
        EnvConfig(flicker=1.0)
    with pytest.raises(InputError, match="did you mean 'async'"):
        EnvConfig(vector="asynch")


HALF = np.full((4, 6, 3), 127, np.uint8)


@pytest.mark.parametrize("vector", ["sync", "async"])
@pytest.mark.parametrize(
    "drawn",
    [
        HALF,
        HALF / 255,
        HALF[..., 0],
        HALF[..., :1],
        HALF.astype(np.int64),
        HALF.tolist(),
        np.dstack([HALF, HALF[..., 0]]),
    ],
    ids=["uint8", "floats to 1", "grey", "one channel", "int64", "lists", "alpha"],
)
def test_pictures_of_any_kind_are_shown_as_they_are_meant(drawn, vector):
    config = EnvConfig(vector=vector, options={"frame": drawn})
    with envs.make("tests.envs.strange:Draws", num_envs=2, config=config, render=True) as env:
        env.reset()
        for picture in env.render():
            assert picture.dtype == np.uint8 and (picture == HALF).all()


@pytest.mark.parametrize(
    ("drawn", "said"),
    [("+--+\n|  |", "gives str, not a picture"), (np.zeros((4, 4, 2)), r"the shape \(4, 4, 2\)"), (None, "no picture")],
)
def test_what_is_no_picture_is_told(drawn, said):
    config = EnvConfig(options={"frame": drawn})
    with envs.make("tests.envs.strange:Draws", config=config, render=True) as env:
        env.reset()
        with pytest.raises(InputError, match=said):
            env.render()


class Masked(gymnasium.Env):
    """Allows what its mask does not hold 0 for, in numbers of its own."""

    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, mask, in_info: bool = False) -> None:
        self.mask, self.in_info = mask, in_info
        spaces = {"obs": gymnasium.spaces.Box(-1, 1, (2,))}
        if not in_info:
            spaces["action_mask"] = gymnasium.spaces.Box(0, 1 if mask.dtype == bool else 255, (3,), mask.dtype)
        self.observation_space = gymnasium.spaces.Dict(spaces)

    def _shown(self):
        mask = {"action_mask": self.mask}
        return ({"obs": POSE}, mask) if self.in_info else ({"obs": POSE, **mask}, {})

    def reset(self, *, seed=None, options=None):
        return self._shown()

    def step(self, action):
        observation, info = self._shown()
        return observation, 0.0, False, False, info


@pytest.mark.parametrize("in_info", [False, True])
@pytest.mark.parametrize("mask", [[255, 0, 255], [0.5, 0.0, 2.0], [True, False, True], [1, 0, 1]])
def test_what_a_mask_does_not_hold_0_for_is_allowed(mask, in_info):
    values = np.array(mask, np.uint8 if type(mask[0]) is int else None)
    config = EnvConfig(options={"mask": values, "in_info": in_info})
    with envs.make(f"{__name__}:Masked", num_envs=2, config=config) as env:
        rows = rows_of(env, 2)
        assert all((row.mask == [True, False, True]).all() for row in rows)


def test_an_observation_that_is_no_number_is_named():
    said = "Lies: the environments gave leaf 'obs' something that is no number"
    with pytest.raises(RunError, match=said), lying(NUMBERS, None, 1, "sync") as env:
        rows_of(env, 3)


@pytest.mark.parametrize("in_info", [False, True])
def test_an_environment_that_allows_no_action_is_named(in_info):
    mask = np.array([True, False, True])
    config = EnvConfig(options={"mask": mask, "in_info": in_info})
    with envs.make(f"{__name__}:Masked", num_envs=2, config=config) as env:
        rows_of(env, 2)
        mask[:] = False
        with pytest.raises(RunError, match="environment 0 allows no action at all"):
            env.step(np.zeros(2, np.int64))
