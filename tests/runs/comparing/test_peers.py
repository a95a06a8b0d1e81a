import dataclasses
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common import logger as sb3_logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples

import agents
import envs
from agents.replay_agent import Batch
from envs import EnvConfig
from rl.errors import InputError, RunError
from rl.frame_stack import FrameStack as OurStack
from rl.loop import interact, keep
from runs.comparing.peers import peer as peers
from runs.comparing.peers import row_env, speed, training, translate
from runs.comparing.peers.peer import Peer, build_peer
from runs.comparing.peers.row_env import Reader, RowEnv
from runs.comparing.peers.training import train_peer
from runs.recipe import Run
from runs.training.evaluation import play_games


def spec_of(env: str) -> Any:
    return envs.spec(env)


# The adapter, row by row


def actions_for(spec: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    a = spec.action
    if a.kind == "box":
        return rng.uniform(a.low, a.high, (n, a.size)).astype(np.float32)
    drawn = np.stack([rng.integers(0, m, n) for m in a.nvec], axis=-1)
    return drawn[:, 0] if a.kind == "discrete" else drawn


def ours_as_transitions(env: str, n: int, config: EnvConfig, stack: int, steps: int) -> list[list[dict[str, Any]]]:
    """The transitions that our agents get from each environment, with stacked observations and without `first` rows.

    Environment i takes action t of its own list at its transition t.
    """
    stream = envs.make(env, num_envs=n, seed=3, stream="train", config=config)
    lists = [list(actions_for(stream.spec, np.random.default_rng(i), steps)) for i in range(n)]
    frames = OurStack(stream.spec, n, stack)
    seen: list[list[dict[str, Any]]] = [[] for _ in range(n)]
    read = Reader(stream.spec, stack)
    ts = stream.reset()
    before = as_stack(frames.push(ts.obs, ts.first), stack)
    while min(map(len, seen)) < steps:
        action = np.stack([lists[i][min(len(seen[i]), steps - 1)] for i in range(n)])
        last = ts.last
        ts = stream.step(action)
        after = as_stack(frames.push(ts.obs, ts.first), stack)
        x, y = read(before), read(after)
        for i in np.flatnonzero(~ts.first):
            seen[i].append(
                {
                    "obs": x[i].copy(),
                    "next_obs": y[i].copy(),
                    "reward": float(ts.reward[i]),
                    "done": bool(ts.last[i] or ts.discount[i] == 0),
                    "truncated": bool(ts.last[i] and ts.discount[i] != 0),
                }
            )
        assert (ts.first == last).all()
        before = {k: v.copy() for k, v in after.items()}
    stream.close()
    return seen


def as_stack(obs: dict[str, np.ndarray], stack: int) -> dict[str, np.ndarray]:
    return {k: v[:, None] for k, v in obs.items()} if stack == 1 else obs


@pytest.mark.parametrize(
    ("env", "n", "config", "stack", "steps"),
    [
        ("CartPole-v1", 1, EnvConfig(), 1, 300),
        ("CartPole-v1", 3, EnvConfig(vector="sync"), 2, 200),
        ("CartPole-v1", 2, EnvConfig(vector="async", max_steps=15), 1, 100),
        ("Pendulum-v1", 2, EnvConfig(max_steps=30), 1, 100),
        ("Taxi-v4", 2, EnvConfig(max_steps=20), 1, 100),
        ("CartPole-v1", 2, EnvConfig(flicker=0.3), 2, 100),
        ("ALE/Breakout-v5", 2, EnvConfig(max_steps=60), 4, 130),
    ],
)
def test_sb3_gets_the_same_transitions_as_our_agents(
    env: str, n: int, config: EnvConfig, stack: int, steps: int
) -> None:
    expected = ours_as_transitions(env, n, config, stack, steps)
    stream = envs.make(env, num_envs=n, seed=3, stream="train", config=config)
    vec = RowEnv(stream, stack)
    lists = [list(actions_for(stream.spec, np.random.default_rng(i), steps)) for i in range(n)]
    obs, ends = vec.reset(), 0
    for t in range(steps):
        new, reward, done, infos = vec.step(np.stack([lists[i][t] for i in range(n)]))
        for i in range(n):
            want = expected[i][t]
            after = infos[i]["terminal_observation"] if done[i] else new[i]
            assert np.array_equal(obs[i], want["obs"]), (t, i)
            assert np.array_equal(after, want["next_obs"]), (t, i)
            assert (float(reward[i]), bool(done[i])) == (want["reward"], want["done"]), (t, i)
            assert infos[i].get("TimeLimit.truncated", False) == want["truncated"]
            ends += bool(done[i])
        obs = new
    vec.close()
    assert ends > n, "the test needs ended episodes"


def test_a_lost_life_is_done_without_a_restart_and_rewards_are_clipped_for_the_learner_only() -> None:
    stream = envs.make("ALE/Breakout-v5", num_envs=1, seed=0, config=EnvConfig(protocol="nature"))
    vec = RowEnv(stream, 4, reward_clip=0.5)
    vec.reset()
    rng, lost, raw = np.random.default_rng(1), 0, 0.0
    for _ in range(600):
        obs, reward, done, infos = vec.step(rng.integers(0, 4, 1))
        raw += float(vec.row.reward[0])
        assert abs(reward[0]) <= 0.5
        if done[0] and not vec.row.last[0]:
            lost += 1
            assert np.array_equal(obs[0], infos[0]["terminal_observation"]), "the game continues with the same picture"
            assert infos[0]["TimeLimit.truncated"] is False
    vec.close()
    assert lost >= 2 and raw >= 1


def test_observations_fit_their_space() -> None:
    for env, stack in [
        ("CartPole-v1", 3),
        ("Taxi-v4", 1),
        ("ALE/Pong-v5", 4),
        ("Arcade/Breakout-v1", 1),
        ("Blackjack-v1", 1),
    ]:
        stream = envs.make(env, num_envs=2, seed=0)
        vec = RowEnv(stream, stack)
        obs = vec.reset()
        first = {k: v[0] for k, v in obs.items()} if isinstance(obs, dict) else obs[0]
        assert vec.observation_space.contains(first), env
        vec.close()
    with pytest.raises(InputError, match="cannot stack categories"):
        Reader(spec_of("Taxi-v4"), 2)


# Which hyperparameters


def test_the_zoo_table_is_that_of_its_commit() -> None:
    table = peers.zoo()
    assert peers.zoo_source().startswith("DLR-RM/rl-baselines3-zoo@22e3ff2")
    assert table["dqn"]["CartPole-v1"]["learning_rate"] == 2.3e-3
    assert table["dqn"]["CartPole-v1"]["train_freq"], table["dqn"]["CartPole-v1"]["gradient_steps"] == (256, 128)
    assert table["ppo"]["CartPole-v1"]["clip_range"] == "lin_0.2"
    assert table["qrdqn"]["LunarLander-v3"]["policy_kwargs"] == {"net_arch": [256, 256], "n_quantiles": 170}
    assert table["dqn"]["atari"]["buffer_size"] == 100_000
    for algorithm, tasks in table.items():
        known = peers.arguments(algorithm)
        extra = {"n_timesteps", "atari_wrapper", *peers.OURS, *(peers.NOISE if algorithm in peers.CRITICS else ())}
        for task, values in tasks.items():
            assert not set(values) - set(known) - extra, (algorithm, task)


def test_peers_are_built_from_defaults_or_the_zoo() -> None:
    cartpole, pong = spec_of("CartPole-v1"), spec_of("ALE/Pong-v5")
    assert build_peer("sb3", "dqn", cartpole) == Peer("dqn", "sb3")
    tuned = build_peer("zoo", "ppo", cartpole)
    assert (tuned.n_envs, tuned.settings["n_epochs"], tuned.policy) == (8, 20, "MlpPolicy")
    atari = build_peer("zoo", "dqn", pong)
    assert (atari.frame_stack, atari.policy, atari.reward_clip) == (4, "CnnPolicy", 1.0)
    assert build_peer("sb3", "ppo", pong).n_envs == 8
    assert build_peer("zoo", "recurrent_ppo", spec_of("CartPole-NoVelocity-v1")).policy == "MlpLstmPolicy"
    changed = build_peer("sb3", "dqn", cartpole, ["learning_rate=3e-4", "buffer_size=5e3", "n_envs=4"])
    assert changed.settings == {"learning_rate": 3e-4, "buffer_size": 5000} and changed.n_envs == 4
    shown = translate.full_config(tuned, 100_000)
    assert (shown["gae_lambda"], shown["value_cost"], shown["sb3.vf_coef"]) == (0.8, 0.5, 0.5)
    replay = translate.full_config(build_peer("sb3", "dqn", cartpole), 2_000)
    assert replay["buffer_size"] == replay["sb3.buffer_size"] == 2_000, "the size that SB3 gets"


@pytest.mark.parametrize(
    ("source", "algorithm", "env", "settings", "words"),
    [
        ("sb3", "dqn", "Pendulum-v1", [], "sb3:dqn needs one discrete action, Pendulum-v1 has box: use sb3:ppo"),
        ("sb3", "sac", "CartPole-v1", [], "sb3:sac needs continuous actions, CartPole-v1 has discrete: use sb3:ppo"),
        ("sb3", "dqm", "CartPole-v1", [], "did you mean 'dqn'"),
        ("sb3", "dqn", "CartPole-v1", ["bufer_size=3"], "did you mean 'buffer_size'"),
        ("zoo", "dqn", "Taxi-v4", [], "the RL Zoo has no dqn for Taxi-v4: use sb3:dqn"),
    ],
)
def test_bad_peers_are_refused_in_one_line(
    source: Any, algorithm: str, env: str, settings: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        build_peer(source, algorithm, spec_of(env), settings)


def test_intervals_are_translated_to_gradient_updates() -> None:
    fields, run, lost = translate.ours_like(build_peer("zoo", "dqn", spec_of("CartPole-v1")), 50_000)
    assert run == {"num_envs": 1} and lost == []
    assert (fields["update_every"], fields["replay_ratio"]) == (256, 0.5)
    assert fields["target_every"] == 128, "a copy every 10 steps becomes one after each burst of 128 updates"
    assert fields["epsilon"] == {"start": 1.0, "end": 0.04, "steps": 8000}
    assert fields["net.hidden"] == (256, 256) and fields["buffer_size"] == 100_000
    fields, _, _ = translate.ours_like(build_peer("zoo", "dqn", spec_of("MountainCar-v0")), 120_000)
    assert (fields["replay_ratio"], fields["target_every"]) == (0.5, 300)
    fields, _, _ = translate.ours_like(build_peer("zoo", "dqn", spec_of("LunarLander-v3")), 100_000)
    assert (fields["replay_ratio"], fields["target_every"], fields["learning_starts"]) == (1.0, 250, 0)
    fields, run, lost = translate.ours_like(build_peer("zoo", "ppo", spec_of("Pendulum-v1")), 100_000)
    assert run == {"num_envs": 4} and [line.split(":")[0] for line in lost] == ["n_steps=1024"]
    assert (fields["policy.deviation"], fields["noise_every"], fields["policy.log_std"]) == ("gsde", 4, 0.0)
    fields, _, _ = translate.ours_like(build_peer("zoo", "ppo", spec_of("CartPole-v1")), 100_000)
    assert fields["lr"] == {"start": 1e-3, "end": 0.0, "steps": 100_000} and fields["clip"]["start"] == 0.2


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Arcade/Breakout-v1", "ALE/Pong-v5"])
def test_with_sb3s_values_our_network_has_sb3s_shapes(algorithm: str, env: str) -> None:
    peer, spec = build_peer("sb3", algorithm, spec_of(env), ["n_envs=1"]), spec_of(env)
    stream = envs.make(env, num_envs=1, seed=0)
    vec = RowEnv(stream, peer.frame_stack)
    kwargs = {"buffer_size": 10} if algorithm == "dqn" else {}
    theirs = peers.algorithm_class(algorithm)(peer.policy, vec, device="cpu", **kwargs).policy
    vec.close()
    config, _ = translate.apply_fields(agents.config(algorithm), translate.ours_like(peer, 10_000)[0])
    ours = agents.build(config, spec, num_envs=1, seed=0).network

    def shapes(module: Any) -> list[tuple[int, ...]]:
        return sorted(tuple(p.shape) for p in module.parameters())

    assert shapes(ours) == shapes(theirs.q_net if algorithm == "dqn" else theirs)


@pytest.mark.parametrize(
    ("algorithm", "settings", "delay"),
    [("sac", ["ent_coef=1e-9"], 1), ("td3", ["target_policy_noise=0.0", "policy_delay=1"], 1), ("td3", [], 2)],
)
def test_one_update_of_critics_and_policy_is_sb3s(algorithm: str, settings: list[str], delay: int) -> None:
    """The same weights and batch. SAC's actions are drawn with almost no deviation; TD3's delay skips the policy.

    Adam's epsilon is 1, so that rounding in tiny gradients stays tiny; TD3's loss of the critics is twice ours in SB3.
    """
    spec = spec_of("Pendulum-v1")
    peer = build_peer("sb3", algorithm, spec, [*settings, "learning_rate=1"])
    config, missing = translate.apply_fields(agents.config(algorithm), translate.ours_like(peer, 10_000)[0])
    assert missing == [] and config.net.hidden == ((256, 256) if algorithm == "sac" else (400, 300))
    ours = agents.build(dataclasses.replace(config, adam_eps=1.0), spec, num_envs=1, seed=0)
    ours.optimizers["critics"].eps = 1.0 if algorithm == "sac" else 0.5
    vec = RowEnv(envs.make("Pendulum-v1", num_envs=1, seed=0))
    kwargs = {"net_arch": list(config.net.hidden), "optimizer_kwargs": {"eps": 1.0}}
    given = {**training.model_arguments(peer, 100, 1), "policy_kwargs": kwargs}
    theirs = peers.algorithm_class(algorithm)("MlpPolicy", vec, device="cpu", **given)
    vec.close()
    theirs.set_logger(sb3_logger.configure(None, []))
    if algorithm == "sac":
        torch.nn.init.constant_(theirs.actor.log_std.weight, 0.0)
        torch.nn.init.constant_(theirs.actor.log_std.bias, -25.0)  # clamped to -20 by both
    _copy(theirs.actor, ours.network["policy"])
    _copy(theirs.critic, ours.network["critics"])
    for name, target in ours.targets.items():
        target.flat.copy_(ours.optimizers[name].flat)
    theirs.critic_target.load_state_dict(theirs.critic.state_dict())
    if algorithm == "td3":
        theirs.actor_target.load_state_dict(theirs.actor.state_dict())

    draw = torch.Generator().manual_seed(3)
    obs, after = torch.randn(2, 32, 3, generator=draw)
    action, reward = torch.rand(32, 1, generator=draw) * 2 - 1, torch.randn(32, generator=draw)
    ended = torch.rand(32, generator=draw) < 0.2
    rows = (obs, action, after, ended[:, None].float(), reward[:, None], None)
    theirs.replay_buffer.sample = lambda *args, **kwargs: ReplayBufferSamples(*rows)
    theirs.train(1, 32)
    batch = Batch({"obs": obs}, None, action, reward, 0.99 * (~ended).float(), {"obs": after}, None)
    ours._batch = lambda windows: batch
    before = _weights(ours.network["policy"])
    ours.learn(SimpleNamespace(rows=None, weight=None))
    if settings or algorithm == "sac":
        assert torch.allclose(_weights(theirs.critic), _weights(ours.network["critics"]), rtol=0, atol=1e-5)
    assert torch.allclose(_weights(theirs.actor), _weights(ours.network["policy"]), rtol=0, atol=1e-5)
    assert torch.equal(before, _weights(ours.network["policy"])) == (delay == 2)


def _parameters(module: Any) -> list[torch.Tensor]:
    """The parameters in SB3's order: critic by critic."""
    if hasattr(module, "torsos"):
        return [
            p.data for k, torso in enumerate(module.torsos) for m in (torso, module.heads[k]) for p in m.parameters()
        ]
    return [p.data for p in module.parameters()]


def _weights(module: Any) -> torch.Tensor:
    return torch.cat([p.flatten() for p in _parameters(module)])


def _copy(theirs: Any, ours: Any) -> None:
    for source, target in zip(_parameters(theirs), _parameters(ours), strict=True):
        target.copy_(source)


def test_updates_and_target_copies_come_at_sb3s_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, spec, steps = build_peer("zoo", "dqn", spec_of("CartPole-v1")), spec_of("CartPole-v1"), 2000
    fields, run, _ = translate.ours_like(peer, steps)
    ours: Any = agents.build(translate.apply_fields(agents.config("dqn"), fields)[0], spec, seed=0, **run)
    updates: list[int] = []  # the step of each
    ours_copied: list[int] = []  # after how many updates

    def learn(sampled: Any) -> dict[str, Any]:
        ours.updates += 1
        updates.append(ours.step)
        if ours.updates % ours.config.target_every == 0:
            ours_copied.append(ours.updates)
        return {}

    monkeypatch.setattr(ours, "learn", learn)
    stream = envs.make("CartPole-v1", num_envs=1, seed=0, stream="train")
    for _ in interact(stream, ours, steps):
        pass
    stream.close()
    theirs, theirs_copied = [], []
    learner = peers.algorithm_class("dqn")
    count = learner._on_step

    def train(self: Any, gradient_steps: int, batch_size: int) -> None:
        self._n_updates += gradient_steps
        theirs.extend([self.num_timesteps] * gradient_steps)

    def on_step(self: Any) -> None:
        count(self)
        if self._n_calls % self.target_update_interval == 0 and self._n_updates not in [0, *theirs_copied]:
            theirs_copied.append(self._n_updates)

    monkeypatch.setattr(learner, "train", train)
    monkeypatch.setattr(learner, "_on_step", on_step)
    train_peer(peer, "CartPole-v1", EnvConfig(), steps, 0)
    assert updates == theirs and len(updates) == 512, "bursts of 128 at 1,024, 1,280, 1,536 and 1,792"
    assert ours_copied == theirs_copied == [128, 256, 384, 512]


def test_a_replay_cut_to_the_budget_keeps_every_row() -> None:
    peer, spec = build_peer("sb3", "dqn", spec_of("Probe/OneStep-v0")), spec_of("Probe/OneStep-v0")
    fields, run, _ = translate.ours_like(peer, 200)
    config, _ = translate.apply_fields(agents.config("dqn"), fields)
    agent: Any = agents.build(config, spec, seed=0, **run)
    stream = envs.make(spec.id, num_envs=1, seed=0, stream="train")
    for _ in interact(stream, agent, 200):
        pass
    stream.close()
    assert agent.replay.count == 400 and agent.replay.oldest == 0, "every second row starts a game"


def test_differences_of_the_normaliser_are_reported() -> None:
    lost = translate.ours_like(build_peer("zoo", "ppo", spec_of("MountainCar-v0")), 100_000)[2]
    assert any("VecNormalize's at every step; the first rollout's observations are raw here" in line for line in lost)
    assert any("rows that start a game count in our rollouts" in line for line in lost)
    plain = translate.ours_like(build_peer("sb3", "a2c", spec_of("Taxi-v4")), 100_000)[2]
    assert not any("VecNormalize" in line for line in plain)


def test_the_generators_of_all_gpus_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked: list[Any] = []

    @contextmanager
    def fork_rng(devices: Any) -> Any:
        asked.append(list(devices))
        yield

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    with training.generators_kept(SimpleNamespace(action_space=row_env.action_space(spec_of("CartPole-v1")))):
        pass
    assert asked == [[0, 1]]


def test_the_other_order_of_memory_and_layers_is_reported() -> None:
    _, _, lost = translate.ours_like(build_peer("zoo", "recurrent_ppo", spec_of("CartPole-NoVelocity-v1")), 10_000)
    assert any("observation, LSTM, net_arch, head in SB3" in line for line in lost)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo", "a2c", *peers.CRITICS])
def test_our_agents_have_every_hyperparameter_of_the_zoo(algorithm: str) -> None:
    for task in peers.zoo()[algorithm]:
        if task.endswith("-v4"):
            continue  # MuJoCo's, which is an extra
        env = "ALE/Pong-v5" if task == "atari" else task
        fields, _, lost = translate.ours_like(build_peer("zoo", algorithm, spec_of(env)), 1_000_000)
        config, missing = translate.apply_fields(agents.config(algorithm), fields)
        assert missing == [], task
        assert config.gamma == fields["gamma"] and config.net.hidden == fields["net.hidden"]
        known = ("RMSpropTFLike", "optimize_memory", "rows that start a game", "normalize: ", "noise_type", "use_sde")
        assert all(any(words in line for words in known) for line in lost), (task, lost)


# Training


@pytest.mark.parametrize("peer", [Peer("dqn", "sb3", {"learning_starts": 350}), Peer("a2c", "sb3", n_envs=4)])
@pytest.mark.parametrize("steps", [400, 444])
def test_training_takes_exactly_its_budget(peer: Peer, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    original = RowEnv.step_wait

    def counting(self: Any) -> Any:
        counted.append(self.num_envs)
        return original(self)

    monkeypatch.setattr(RowEnv, "step_wait", counting)
    done = train_peer(peer, "CartPole-v1", EnvConfig(), steps, 0)
    assert done.steps == steps == sum(counted)


def test_a_budget_between_slots_is_not_exceeded() -> None:
    done = train_peer(
        Peer("ppo", "sb3", {"n_steps": 16, "batch_size": 16}, n_envs=8), "CartPole-v1", EnvConfig(), 403, 0
    )
    assert done.steps == 400
    with pytest.raises(InputError, match="more than the 3 steps"):
        train_peer(Peer("ppo", "sb3", n_envs=8), "CartPole-v1", EnvConfig(), 3, 0)


@pytest.mark.parametrize(
    ("algorithm", "settings", "n_envs", "steps", "updates"),
    [
        ("a2c", {"n_steps": 5}, 8, 40, 1),
        ("a2c", {"n_steps": 5}, 8, 43, 1),
        ("a2c", {"n_steps": 5}, 8, 79, 1),
        ("ppo", {"n_steps": 64, "batch_size": 64, "n_epochs": 1}, 1, 64, 1),
        ("ppo", {"n_steps": 64, "batch_size": 64, "n_epochs": 1}, 1, 130, 2),
        ("recurrent_ppo", {"n_steps": 16, "batch_size": 16, "n_epochs": 1}, 2, 32, 1),
        ("dqn", {"train_freq": 16, "learning_starts": 0, "batch_size": 4}, 1, 16, 1),
        ("dqn", {"train_freq": 16, "learning_starts": 0, "batch_size": 4, "n_steps": 3}, 1, 20, 1),
        ("dqn", {"train_freq": 4, "learning_starts": 0, "batch_size": 4}, 4, 33, 2),
        ("dqn", {"train_freq": (1, "episode"), "learning_starts": 0, "batch_size": 4}, 1, 5, 0),
        ("qrdqn", {"train_freq": 8, "learning_starts": 0, "batch_size": 4}, 1, 16, 2),
    ],
)
def test_sb3_learns_from_a_rollout_that_ends_with_the_budget(
    algorithm: str, settings: dict[str, Any], n_envs: int, steps: int, updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    original = RowEnv.step_wait

    def counting(self: Any) -> Any:
        counted.append(self.num_envs)
        return original(self)

    monkeypatch.setattr(RowEnv, "step_wait", counting)
    peer = dataclasses.replace(build_peer("sb3", algorithm, spec_of("CartPole-v1")), settings=settings, n_envs=n_envs)
    done = train_peer(peer, "CartPole-v1", EnvConfig(), steps, 0)
    assert done.agent.model._n_updates == updates
    assert sum(counted) == done.steps == steps - steps % n_envs


class Constant:
    """A model that always plays action 0 and must not sample."""

    exploration_final_eps = 0.5
    asked: list[bool]

    def __init__(self) -> None:
        self.asked = []

    def get_vec_normalize_env(self) -> None:
        return None

    def predict(self, obs: Any, state: Any, episode_start: Any, deterministic: bool) -> tuple[np.ndarray, None]:
        self.asked.append(deterministic)
        return np.zeros(len(obs), np.int64), None


@pytest.mark.parametrize(("sample", "epsilon"), [(False, 0.2), (True, 0.5)])
def test_value_learners_explore_in_evaluation_by_our_rule_with_their_own_generators(
    sample: bool, epsilon: float
) -> None:
    from agents.value_player import epsilon_greedy
    from rl.seeding import generator

    spec = spec_of("CartPole-v1")
    agent = training.PeerAgent(Peer("dqn", "sb3"), Constant(), spec, eval_epsilon=0.2)
    assert agent.draws(sample) and not training.PeerAgent(Peer("dqn", "sb3"), Constant(), spec).draws(False)
    shared: Any = np.random.get_state()  # noqa: NPY002
    stream = envs.make("CartPole-v1", num_envs=1, seed=7, stream="evaluate", games=2)
    actor, ts, drawn, rng = agent.actor(1, 7, sample=sample), stream.reset(), 0, generator(0)
    for _ in range(40):
        if ts.first[0]:
            rng = generator(7, "evaluate", "actor", int(ts.info["game"][0]))
        action = actor.act(ts)
        assert action == epsilon_greedy(np.zeros(1, np.int64), epsilon, 2, None, rng)
        drawn += int(action[0])
        ts = stream.step(action)
    stream.close()
    assert drawn > 0 and agent.model.asked == [True] * 40
    after: Any = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(shared[1], after[1]) and shared[2] == after[2]


def play(agent: training.PeerAgent, sample: bool = False) -> float:
    run = Run(env="CartPole-v1", agent=None, steps=1)
    return play_games(agent, run, episodes=5, seed=0, sample=sample).mean  # type: ignore[arg-type]


def weights(done: training.Training) -> np.ndarray:
    import torch

    return torch.cat([p.detach().flatten() for p in done.agent.model.policy.parameters()]).numpy()


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_evaluating_does_not_change_the_training(algorithm: str) -> None:
    quick = {"dqn": ["learning_starts=100", "train_freq=64", "gradient_steps=4"], "ppo": ["n_epochs=1"]}
    peer = build_peer("zoo", algorithm, spec_of("CartPole-v1"), quick[algorithm])
    plain = train_peer(peer, "CartPole-v1", EnvConfig(), 1024, 0)
    seen = train_peer(
        peer, "CartPole-v1", EnvConfig(), 1024, 0, evaluate=lambda agent: play(agent, sample=True), eval_every=256
    )
    assert [point[0] for point in seen.curve] == [256, 512, 768]
    assert np.array_equal(weights(plain), weights(seen))
    assert 0 < seen.curve[0][1] < seen.curve[-1][1] <= seen.seconds


def test_an_evaluation_follows_the_update_that_is_due_at_the_same_step() -> None:
    peer = Peer("ppo", "sb3", {"n_steps": 64, "n_epochs": 1, "batch_size": 64}, n_envs=2)
    updates: list[tuple[int, int]] = []

    def look(agent: training.PeerAgent) -> float:
        updates.append((agent.step, agent.model._n_updates))
        return 0.0

    train_peer(peer, "CartPole-v1", EnvConfig(), 512, 0, evaluate=look, eval_every=64)
    # in the middle of a rollout, and at its end after the update
    assert updates == [(64, 0), (128, 1), (192, 1), (256, 2), (320, 2), (384, 3), (448, 3)]


def test_evaluating_the_final_policy_is_repeatable_and_keeps_its_normaliser() -> None:
    peer = Peer("ppo", "sb3", {"n_steps": 64}, normalize=True, n_envs=2)
    done = train_peer(peer, "CartPole-v1", EnvConfig(), 512, 0)
    before = done.agent.model.get_vec_normalize_env().obs_rms.mean.copy()
    assert play(done.agent) == play(done.agent)
    assert np.array_equal(before, done.agent.model.get_vec_normalize_env().obs_rms.mean), "the statistics stay frozen"
    assert done.agent.step == 512


@pytest.mark.parametrize(
    ("algorithm", "env", "settings"),
    [
        ("qrdqn", "CartPole-v1", {"learning_starts": 50}),
        ("recurrent_ppo", "CartPole-NoVelocity-v1", {"n_steps": 64}),
        ("ppo", "Pendulum-v1", {"n_steps": 64, "use_sde": True}),
        ("dqn", "Taxi-v4", {"learning_starts": 50}),
        ("sac", "Pendulum-v1", {"learning_starts": 100}),
        ("td3", "Pendulum-v1", {"learning_starts": 100, "noise_type": "normal", "noise_std": 0.1}),
        ("tqc", "Pendulum-v1", {"learning_starts": 100, "use_sde": True}),
        ("crossq", "Pendulum-v1", {"learning_starts": 120, "policy_kwargs": {"net_arch": [8, 8]}}),
    ],
)
def test_every_algorithm_trains_and_plays(algorithm: str, env: str, settings: dict[str, Any]) -> None:
    peer = dataclasses.replace(build_peer("sb3", algorithm, spec_of(env)), settings=settings)
    done = train_peer(peer, env, EnvConfig(), 128, 0)
    score = play_games(done.agent, Run(env=env, agent=None, steps=1), episodes=2, seed=0)  # type: ignore[arg-type]
    assert np.isfinite(score.mean) and score.episodes == 2 and done.steps == 128


@pytest.mark.parametrize("env", ["Probe/MaskInfo-v0", "Probe/MaskDict-v0"])
@pytest.mark.parametrize("normalize", [False, True])
def test_sb3s_ppo_never_plays_a_forbidden_action(env: str, normalize: bool) -> None:
    """The probes raise an error at a forbidden action."""
    peer = build_peer("sb3", "ppo", spec_of(env), ["n_steps=64", "n_envs=2", f"normalize={normalize}"])
    assert peer.algorithm == "maskable_ppo"
    done = train_peer(peer, env, EnvConfig(), 256, 0)
    for sample in (False, True):
        run = Run(env=env, agent=None, steps=1)
        score = play_games(done.agent, run, episodes=20, seed=0, sample=sample)  # type: ignore[arg-type]
        assert score.episodes == 20
    with pytest.raises(RunError, match="is forbidden"):
        train_peer(dataclasses.replace(peer, algorithm="ppo"), env, EnvConfig(), 256, 0)


def test_only_environments_with_masks_offer_them_to_sb3() -> None:
    vec = RowEnv(envs.make("CartPole-v1", num_envs=2, seed=0))
    vec.reset()
    assert not vec.has_attr("action_masks")
    with pytest.raises(AttributeError, match="no 'action_masks'"):
        vec.env_method("action_masks")
    vec.close()


def test_maskable_ppo_replaces_ppo_only_with_masks_and_sb3_contrib(monkeypatch: pytest.MonkeyPatch) -> None:
    masked, plain = spec_of("Probe/MaskInfo-v0"), spec_of("CartPole-v1")
    assert build_peer("sb3", "ppo", plain).algorithm == build_peer("zoo", "ppo", plain).algorithm == "ppo"
    ours = translate.ours_like(build_peer("sb3", "ppo", masked), 10_000)
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    without = build_peer("sb3", "ppo", masked)
    assert without.algorithm == "ppo" and translate.ours_like(without, 10_000) == ours, "both have the same defaults"
    with pytest.raises(InputError, match="sb3:maskable_ppo needs action masks, CartPole-v1 has none: use sb3:ppo"):
        build_peer("sb3", "maskable_ppo", plain)
    with pytest.raises(InputError, match="the RL Zoo has no ppo for Probe/MaskInfo-v0"):
        build_peer("zoo", "ppo", masked)


def test_atari_learns_from_stacked_pixels() -> None:
    peer = build_peer("zoo", "dqn", spec_of("ALE/Pong-v5"), ["learning_starts=20", "batch_size=4"])
    done = train_peer(peer, "ALE/Pong-v5", EnvConfig(max_steps=50), 60, 0)
    assert done.agent.model.observation_space.shape == (4, 84, 84)
    assert done.agent.model.replay_buffer.buffer_size == 60, "a buffer larger than the budget would never be full"
    run = Run(env="ALE/Pong-v5", agent=None, steps=1, env_config=EnvConfig(max_steps=50))
    assert play_games(done.agent, run, episodes=1, seed=0).lengths == [50]  # type: ignore[arg-type]


def test_an_sb3_replay_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """SB3 only warns, and hours later the machine runs out of memory."""
    monkeypatch.setattr(training, "available_memory", lambda: 2 * 60 * 4 * 84 * 84 - 1)
    peer = build_peer("zoo", "dqn", spec_of("ALE/Pong-v5"), ["learning_starts=20", "batch_size=4"])
    with pytest.raises(InputError, match="SB3's replay needs about 0.00 GB, 0.00 GB are free: lower its buffer_size"):
        train_peer(peer, "ALE/Pong-v5", EnvConfig(max_steps=50), 60, 0)


def test_an_sb3_value_learner_reads_several_leaves() -> None:
    peer = build_peer("sb3", "dqn", spec_of("Blackjack-v1"), ["learning_starts=20", "batch_size=4"])
    assert train_peer(peer, "Blackjack-v1", EnvConfig(), 60, 0).steps == 60


def test_sb3_is_loaded_only_when_used() -> None:
    import subprocess
    import sys

    code = (
        "import sys, runs.comparing.peers.peer; sys.exit('stable_baselines3' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_speed_of_sb3_is_measured() -> None:
    found = speed.sb3_speed("a2c", "CartPole-v1", 500)
    assert found["steps"] == 500 and found["steps_per_second"] == pytest.approx(500 / found["seconds"])


def test_our_loop_cuts_the_last_slot_to_the_budget() -> None:
    """Both sides have the same budget: SB3 leaves the last slot out, and our loop counts its rows until it is full."""
    stream = envs.make("CartPole-v1", num_envs=8, seed=0)
    ts = keep(stream.step(np.zeros(8, np.int64)), 3)
    assert int((~ts.first).sum()) == 3
    stream.close()
