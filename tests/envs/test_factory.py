"""Ids, users' modules and vector environments of every mode; and what `envs.make` refuses in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.cores import usable_cores
from rl.errors import InputError, RunError
from rl.seeding import derive_seed

HERE = "tests.envs.strange"


def test_importing_envs_loads_nothing_heavy():
    code = (
        "import sys, envs; print([m for m in ('torch', 'numba', 'ale_py', 'pygame', 'scipy') if m in sys.modules]);"
        "import gymnasium; print(sum(id.startswith(('Probe/', 'Memory/')) for id in gymnasium.registry) > 20)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split("\n")[:2] == ["[]", "True"]


def test_building_an_environment_does_not_import_torch():
    code = "import sys, envs; envs.make('CartPole-v1').reset(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_spec_tells_what_an_agent_must_know():
    spec = envs.spec("CartPole-v1")
    assert (spec.id, spec.reward_threshold, spec.max_episode_steps) == ("CartPole-v1", 475.0, 500)
    assert spec.action.kind == "discrete" and spec.action.nvec == (2,) and spec.obs["obs"].shape == (4,)
    assert spec.options == {"vector": "compiled"}
    spec = envs.spec("LunarLander-v3", EnvConfig(flicker=0.25, options={"continuous": True}))
    assert envs.spec(f"{HERE}:limited").max_episode_steps == 70
    assert spec.action.kind == "box" and spec.options == {"vector": "sync", "flicker": 0.25, "continuous": True}


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("CartPol-v1", "unknown environment 'CartPol-v1': did you mean 'CartPole-v1'"),
        ("Probe/Contant-v0", "did you mean 'Probe/Constant-v0'"),
        ("ALE/Pong-v9", "did you mean 'ALE/Pong-v5'"),
        ("Zyx", "unknown environment 'Zyx'.*rl list envs"),
        ("nowhere_at_all:Env", "importing 'nowhere_at_all' failed"),
        (f"{HERE}:Missing", "neither registers nor defines 'Missing'"),
        (f"{HERE}:not_an_env", "gives int, not a gymnasium Env"),
        (f"{HERE}:Spaceless", "Spaceless has no observation_space of gymnasium.spaces"),
        (f"{HERE}:Actionless", "Actionless has no action_space of gymnasium.spaces"),
        (f"{HERE}:broken", "cannot be made: OSError: no disk in drive A"),
        (f"{HERE}:modeless", "names no autoreset mode"),
    ],
)
def test_bad_ids_are_one_line(id, said):
    with pytest.raises(InputError, match=said) as caught:
        envs.make(id)
    assert "\n" not in str(caught.value)


def test_bad_options_are_one_line():
    with pytest.raises(InputError, match="CartPole-v1 cannot be made: TypeError: .*gravity") as caught:
        envs.make("CartPole-v1", config=EnvConfig(options={"gravity": 3}))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no_velocity is known for CartPole-v1, .*; got 'Taxi-v4'"):
        envs.make("Taxi-v4", config=EnvConfig(no_velocity=True))


def test_a_users_class_and_an_id_that_a_module_registers():
    assert envs.make(f"{HERE}:Unseeded").reset().obs["obs"].shape == (1, 2)
    assert envs.make("envs.probes:Probe/Five-v0").reset().first.all()
    env = envs.make("envs.probes:Five", config=EnvConfig(max_steps=3, options={"length": 9}))
    env.reset()
    rows = [env.step(np.zeros(1, np.int64)) for _ in range(3)]
    assert rows[-1].last[0] and rows[-1].discount[0] == 1


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_game_of_today.py").write_text("from envs.probes import Five as Mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert envs.make("my_game_of_today:Mine").reset().first.all()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_t4_every_autoreset_mode_gives_the_same_rows(mode, end):
    """T3, T4: final observations, seeds and times are those of our own serial stepping."""
    options = {"length": 3, "end": end}
    serial = envs.make("Probe/Counting-v0", num_envs=3, config=EnvConfig(vector="sync", options=options))
    native = envs.make(f"{HERE}:counting", num_envs=3, config=EnvConfig(options={"mode": mode, **options}))
    assert native.spec.options["vector"] == "native"
    a, b = serial.reset(), native.reset()
    for k in range(25):
        assert (a.obs["obs"] == b.obs["obs"]).all()
        for name in ("reward", "discount", "first", "last"):
            assert (getattr(a, name) == getattr(b, name)).all(), (k, name)
        a, b = serial.step(np.zeros(3, np.int64)), native.step(np.zeros(3, np.int64))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_environments_of_every_mode_resume_exactly_and_play_lists_of_games(mode):
    config = EnvConfig(options={"mode": mode, "length": 6}, max_steps=5)
    env = envs.make(f"{HERE}:counting", num_envs=2, games=5, config=config)
    env.reset()
    rows = [env.step(np.zeros(2, np.int64)) for _ in range(9)]
    other = envs.make(f"{HERE}:counting", num_envs=2, games=5, config=config)
    row = other.load_state_dict(env.state_dict())
    assert other.resume_level == "exact" and (row.obs["obs"] == rows[-1].obs["obs"]).all()
    played = set()
    while (row.info["game"] >= 0).any():
        played |= set(row.info["game"].tolist())
        row, also = other.step(np.zeros(2, np.int64)), env.step(np.zeros(2, np.int64))
        busy = row.info["game"] >= 0
        assert (row.obs["obs"][busy] == also.obs["obs"][busy]).all() and (row.last == also.last).all()
    assert played - {-1} == {2, 3, 4}


def test_gymnasiums_cartpole_vector_is_used_unseeded_where_asked_for():
    with envs.make("CartPole-v1", num_envs=4, config=EnvConfig(vector="native")) as env:
        assert env.resume_level == "episode" and env.spec.options["vector"] == "native"
        row = env.reset()
        firsts = 0
        for _ in range(100):
            before, row = row, env.step(np.zeros(4, np.int64))
            assert (row.first == before.last).all()
            firsts += row.first.sum()
        assert firsts > 20
        restored = env.load_state_dict(env.state_dict())
        assert restored.last.all() and (restored.obs["obs"] == row.obs["obs"]).all()
        assert env.step(np.zeros(4, np.int64)).first.all() and not env.step(np.zeros(4, np.int64)).first.any()
        with pytest.raises(RunError, match="its vector environment only resets by itself: set vector='sync'"):
            env._vector.restart({0: 1})
    # what needs single seeds is played in another way, or refused
    with envs.make("CartPole-v1", num_envs=4, games=4, config=EnvConfig(vector="native")) as env:
        assert env.spec.options["vector"] == "compiled" and env.reset().info["game"].tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="cannot be reset after max_steps: set vector='sync' if"):
        envs.make("CartPole-v1", num_envs=4, config=EnvConfig(vector="native", max_steps=6))
    with pytest.raises(InputError, match="cannot start a game from a seed"):
        envs.make(f"{HERE}:deaf", num_envs=2, games=4)


def test_a_vector_environment_deaf_to_masks_is_refused_where_that_matters():
    assert envs.make(f"{HERE}:deaf", num_envs=2).resume_level == "episode"
    with pytest.raises(InputError, match="resets in mode SameStep without honouring `reset_mask`"):
        envs.make(f"{HERE}:deaf", num_envs=2, config=EnvConfig(options={"mode": "SameStep"}))


def test_native_is_refused_where_there_is_none():
    with pytest.raises(InputError, match="LunarLander-v3 has no vector environment of its own"):
        envs.make("LunarLander-v3", config=EnvConfig(vector="native"))
    with pytest.raises(InputError, match="is no vector environment"):
        envs.make(f"{HERE}:Unseeded", config=EnvConfig(vector="native"))


def test_pictures_come_from_every_vectoriser():
    for vector in ("sync", "async"):
        with envs.make("CartPole-v1", num_envs=2, render=True, config=EnvConfig(vector=vector)) as env:
            env.reset()
            pictures = env.render()
            assert len(pictures) == 2 and pictures[0].shape == (400, 600, 3) and pictures[0].dtype == np.uint8
    with envs.make("CartPole-v1") as env, pytest.raises(InputError, match="made without pictures: pass render=True"):
        env.render()
    with envs.make(f"{HERE}:Unseeded", render=True) as env, pytest.raises(InputError, match="no render_mode"):
        env.render()


def test_arcade_games_run_in_their_own_vector_class_and_resume_from_their_state():
    pytest.importorskip("numba")
    if "Arcade/Breakout-v1" not in gymnasium.registry:
        pytest.skip("no arcade yet")
    env = envs.make("Arcade/Breakout-v1", num_envs=5, seed=2)
    assert env.spec.options["vector"] == "native" and env.spec.obs["obs"].kind == "board"
    rng = np.random.default_rng(0)
    row = env.reset()
    for _ in range(300):
        before, row = row, env.step(rng.integers(env.spec.action.nvec[0], size=5))
        assert (row.first == before.last).all()
        for i in np.flatnonzero(row.first):
            assert row.info["seed"][i] == derive_seed(2, "train", int(i), int(row.info["episode"][i]))
    other = envs.make("Arcade/Breakout-v1", num_envs=5, seed=2)
    restored = other.load_state_dict(env.state_dict())
    assert other.resume_level == "exact" and (restored.obs["obs"] == row.obs["obs"]).all()
    for _ in range(200):
        action = rng.integers(env.spec.action.nvec[0], size=5)
        a, b = env.step(action), other.step(action)
        assert (a.obs["obs"] == b.obs["obs"]).all() and (a.reward == b.reward).all() and (a.first == b.first).all()


def test_the_automatic_choice_takes_processes_only_for_slow_environments():
    from envs.trial import faster
    from envs.vector.single import Single

    class Slow(gymnasium.Wrapper):
        def step(self, action):
            __import__("time").sleep(0.005)
            return self.env.step(action)

    expected = "async" if usable_cores() > 1 else "sync"
    assert faster(Single(Slow(gymnasium.make("CartPole-v1")), 0), 8) == expected
    assert envs.make("Taxi-v4", num_envs=8).spec.options["vector"] == "sync"


def test_a_dead_worker_is_one_line():
    with envs.make("CartPole-v1", num_envs=2, config=EnvConfig(vector="async")) as env:
        env.reset()
        env._vector._vec.processes[1].kill()
        env._vector._vec.processes[1].join()
        with pytest.raises(RunError, match="CartPole-v1: a worker process of environment 1 died in step"):
            for _ in range(3):
                env.step(np.zeros(2, np.int64))


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX's")
@pytest.mark.parametrize("number", ["SIGINT", "SIGHUP"])
def test_workers_leave_ctrl_c_and_a_closed_terminal_to_the_main_process(number):
    """Both signals reach the whole group; the workers live on, so that the run can save its state."""
    code = f"""number = "{number}"
if __name__ == "__main__":
    import os, signal, time, envs, numpy as np
    from envs.config import EnvConfig
    env = envs.make("CartPole-v1", num_envs=2, config=EnvConfig(vector="async"))
    env.reset()
    signal.signal(getattr(signal, number), signal.default_int_handler)
    try:
        os.killpg(os.getpgid(0), getattr(signal, number))
        time.sleep(5)
    except KeyboardInterrupt:
        time.sleep(0.3)
        for _ in range(20):
            env.step(np.zeros(2, np.int64))
        env.state_dict()
        env.close()
        print("saved")
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, timeout=120
    )
    assert shown.stdout == "saved\n", shown.stderr
    assert shown.stderr == "" or number == "SIGHUP"  # which ends Python's own resource tracker, with a warning


@pytest.mark.parametrize("vector", ["async", "sync"])
def test_a_script_without_a_main_guard_runs_once_and_may_register_its_own_class(vector, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""print("run")
import envs, gymnasium, numpy as np
class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {{}}
    def step(self, action):
        return np.ones(2, np.float32), 1.0, False, False, {{}}
gymnasium.register("Mine-v0", Mine)
with envs.make("Mine-v0", num_envs=2, config=envs.EnvConfig(vector="{vector}")) as env:
    env.reset()
    print(env.step(np.zeros(2, np.int64)).obs["obs"].sum())
"""
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    shown = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert (shown.stdout, shown.stderr) == ("run\n4.0\n", "")


class Plain(gymnasium.Env):
    """Its constructor knows no render_mode."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def render(self):
        return None


@pytest.mark.parametrize("by", [Plain, lambda **options: Plain(**options)], ids=["class", "factory"])
def test_an_environment_that_cannot_be_drawn_says_so(by, monkeypatch):
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    gymnasium.register("Plain-v0", by)
    env = envs.make("Plain-v0", render=True)
    env.reset()
    with pytest.raises(InputError, match="gives no picture: it has no render_mode 'rgb_array'"):
        env.render()
    env.close()


def test_a_module_that_is_not_there_says_where_it_must_lie():
    with pytest.raises(InputError, match=r"where nowhere_at_all\.py lies in this folder or its package is installed$"):
        envs.make("nowhere_at_all:Env")
