"""Training and playing a Stable-Baselines3 model on our rows."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import envs
from envs import EnvConfig
from rl.errors import InputError, RunError
from rl.interface import EnvSpec, TimeStep
from rl.memory import available_memory
from rl.schedules import crossed
from rl.seeding import derive_seed, generator
from runs.comparing.peers.peer import (
    MASKABLE,
    NOISE,
    OFF_POLICY,
    VALUE_LEARNERS,
    FrameStack,
    Peer,
    algorithm_class,
    arguments,
)
from runs.comparing.peers.row_env import Reader, row_env_class


class PeerAgent:
    """SB3's model as the evaluator knows agents: `actor` gives an acting stream of its own."""

    def __init__(self, peer: Peer, model: Any, spec: EnvSpec, eval_epsilon: float = 0.0) -> None:
        self.peer, self.model, self.spec = peer, model, spec
        self.eval_epsilon = eval_epsilon
        """Share of random actions when a value learner is evaluated, as our `ValueConfig` has it."""
        self.name = peer.name
        self.step = 0

    def actor(self, num_envs: int, seed: int, *, stream: str = "evaluate", sample: bool = False) -> PeerActor:
        return PeerActor(self, num_envs, seed, stream, sample)

    def draws(self, sample: bool) -> bool:
        """Whether an actor made with this `sample` draws random numbers."""
        return self.epsilon(sample) > 0 if self.learns_values else sample

    @property
    def learns_values(self) -> bool:
        return self.peer.algorithm in VALUE_LEARNERS

    def epsilon(self, sample: bool) -> float:
        """Share of random actions by the rule of our `ValuePlayer`: sampled play takes training's final one."""
        if not self.learns_values:
            return 0.0
        return float(self.model.exploration_final_eps) if sample else self.eval_epsilon


class PeerActor:
    """One acting stream of SB3's policy: stack, recurrent state, frozen normaliser, and generators of its own."""

    def __init__(self, agent: PeerAgent, num_envs: int, seed: int, stream: str, sample: bool) -> None:
        self.agent, self.num_envs = agent, num_envs
        self.epsilon = agent.epsilon(sample)
        self.draws = sample and not agent.learns_values
        """Whether SB3's policy draws its actions. A value learner's `predict` would draw from NumPy's global."""
        self.reader = Reader(agent.spec, agent.peer.frame_stack)
        self.frames = FrameStack(agent.peer.frame_stack)
        self.state: Any = None
        self._key = (seed, stream, "actor")
        self._seed()

    def _seed(self, *game: int) -> None:
        self.rng = generator(*self._key, *game)
        if self.draws:  # SB3's policies have PyTorch's shared generator only
            import torch

            torch.manual_seed(derive_seed(*self._key, *game))

    def act(self, ts: TimeStep) -> np.ndarray:
        if self.num_envs == 1 and ts.first[0] and "game" in ts.info:  # each game draws its own, as ours does
            self._seed(int(ts.info["game"][0]))
        self.frames.push(ts.obs, ts.first)
        obs = self.reader(self.frames.read())
        normaliser = self.agent.model.get_vec_normalize_env()
        if normaliser is not None:
            obs = normaliser.normalize_obs(obs)
        masks = {"action_masks": ts.mask} if self.agent.peer.algorithm == MASKABLE else {}
        action, self.state = self.agent.model.predict(
            obs, state=self.state, episode_start=ts.first, deterministic=not self.draws, **masks
        )
        a = self.agent.spec.action
        action = np.asarray(action).reshape(len(ts.first), *a.shape).astype(a.dtype)
        if self.epsilon > 0:
            from agents.value_player import epsilon_greedy

            action = epsilon_greedy(action, self.epsilon, a.nvec[0], ts.mask, self.rng)
        return action


@dataclass
class Training:
    """What a peer's training gave."""

    agent: PeerAgent
    steps: int
    seconds: float
    """Of training alone, evaluations left out."""
    curve: list[tuple[int, float, float]]
    """(step, seconds, what `evaluate` returned)."""


def train_peer(
    peer: Peer,
    env: str,
    config: EnvConfig,
    steps: int,
    seed: int,
    *,
    threads: int = 1,
    device: str = "cpu",
    evaluate: Callable[[PeerAgent], float] | None = None,
    eval_every: int = 0,
    eval_epsilon: float = 0.0,
    enough: Callable[[list[tuple[int, float, float]]], bool] = lambda curve: False,
) -> Training:
    """Trains SB3 on our environment for exactly `steps` environment steps, `evaluate` called every `eval_every`.

    It ends before that where the curve so far (step, seconds, score) is `enough`.

    The budget ends between slots: where it is no multiple of the environments' number, the slot that would exceed it
    is left out and `Training.steps` says what was taken. A rollout that ends with the budget is learned from.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if peer.n_envs > steps:
        raise InputError(f"{peer.name} has {peer.n_envs} environments, more than the {steps} steps of the budget")
    stream = envs.make(env, num_envs=peer.n_envs, seed=seed, stream="train", config=config)
    vec: Any = row_env_class()(stream, peer.frame_stack, peer.reward_clip)
    try:
        if peer.normalize:
            vec = normalized(peer, vec)
        kwargs = model_arguments(peer, steps, stream.spec.action.size)
        _preflight(peer, kwargs, vec.observation_space)
        try:
            model = algorithm_class(peer.algorithm)(peer.policy, vec, seed=seed, device=device, **kwargs)
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"{peer.name} on {env}: {str(error).splitlines()[0]}") from error
        training = Training(PeerAgent(peer, model, stream.spec, eval_epsilon), 0, 0.0, [])
        budget = budget_class()(training, steps, evaluate, eval_every, enough)
        try:
            model.learn(steps - steps % peer.n_envs, callback=budget)
        except (ValueError, RuntimeError) as error:
            raise RunError(f"{peer.name} on {env}: {str(error).splitlines()[0]}") from error
        budget.clock.stop()
        training.agent.step = training.steps = model.num_timesteps
        training.seconds = budget.clock.seconds
        return training
    finally:
        vec.close()


def normalized(peer: Peer, vec: Any) -> Any:
    """`vec` in SB3's VecNormalize, with the peer's arguments."""
    from stable_baselines3.common.vec_env import VecNormalize

    given = peer.normalize if isinstance(peer.normalize, Mapping) else {}
    return VecNormalize(vec, gamma=peer.settings.get("gamma", 0.99), **given)


@functools.cache
def budget_class() -> Any:
    """`Budget`, whose base class needs SB3."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Budget(BaseCallback):  # type: ignore[misc]
        """Stops exactly at the budget, and evaluates on the way without touching the training's generators."""

        def __init__(self, training: Training, steps: int, evaluate: Any, eval_every: int, enough: Any) -> None:
            super().__init__()
            self.training, self.steps, self.evaluate = training, steps, evaluate
            self.eval_every, self.enough = eval_every, enough
            self.clock = Clock()
            self.due = False
            """Whether to evaluate after the update that is due at this step, as ours does."""

        def _on_training_start(self) -> None:
            self.clock.start()

        def _on_rollout_start(self) -> None:
            if self.due:
                self._evaluate()

        def _on_training_end(self) -> None:
            self._on_rollout_start()

        def _evaluate(self) -> None:
            self.due, agent = False, self.training.agent
            with self.clock.stopped(), generators_kept(self.model):
                self.training.curve.append((agent.step, self.clock.seconds, self.evaluate(agent)))

        def _on_step(self) -> bool:
            agent, curve, n_envs = self.training.agent, self.training.curve, self.training.agent.peer.n_envs
            agent.step = self.num_timesteps
            crosses = agent.step < self.steps and crossed(agent.step - n_envs, agent.step, self.eval_every)
            if self.evaluate is not None and crosses:
                self.due = True
                if not rollout_ends(self.model, agent.step):
                    self._evaluate()
            if curve and self.enough(curve):
                return False
            # SB3 ends by itself after the update; told to end at the rollout's last step it would leave that out
            whole = self.steps - self.steps % n_envs
            return bool(self.num_timesteps < whole or rollout_ends(self.model, whole))

    return Budget


def rollout_ends(model: Any, steps: int) -> bool:
    """Whether SB3 stops to learn after this many steps over all environments, so that it takes none beyond them.

    Never where it counts whole episodes: those may go on.
    """
    freq = getattr(model, "train_freq", None)
    rows = model.n_steps if freq is None else freq.frequency  # a value learner's n_steps are those of its returns
    return (freq is None or freq.unit.value == "step") and steps % (rows * model.n_envs) == 0


class Clock:
    """Seconds of training, with the evaluations left out."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun: float | None = None

    def start(self) -> None:
        self._begun = time.perf_counter()

    def stop(self) -> None:
        if self._begun is not None:
            self.seconds += time.perf_counter() - self._begun
            self._begun = None

    @contextmanager
    def stopped(self) -> Any:
        self.stop()
        yield
        self.start()


@contextmanager
def generators_kept(model: Any) -> Any:
    """SB3 draws from NumPy's, PyTorch's and its action space's shared generators: they are left as they were."""
    import torch

    space = model.action_space.np_random.bit_generator
    kept = np.random.get_state(), space.state  # noqa: NPY002
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):  # the CPU's, and every GPU's
            yield
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002
        space.state = kept[1]


def model_arguments(peer: Peer, steps: int, actions: int) -> dict[str, Any]:
    """The algorithm's arguments as SB3 takes them: schedules, classes and action noise from their names.

    A buffer larger than the budget is cut to it, which changes nothing that SB3 samples. `actions`: numbers of an
    action.
    """
    out = {k: _schedule(v) for k, v in peer.settings.items() if k not in NOISE}
    if peer.algorithm in OFF_POLICY:
        out["buffer_size"] = min(out.get("buffer_size", arguments(peer.algorithm)["buffer_size"]), steps)
    if peer.settings.get("noise_std"):
        from stable_baselines3.common import noise

        normal = peer.settings.get("noise_type", "normal") == "normal"
        kind = noise.NormalActionNoise if normal else noise.OrnsteinUhlenbeckActionNoise
        out["action_noise"] = kind(np.zeros(actions), np.full(actions, peer.settings["noise_std"]))
    if "policy_kwargs" in out:
        out["policy_kwargs"] = {k: _class(k, v) for k, v in out["policy_kwargs"].items()}
    return out


def _preflight(peer: Peer, kwargs: Mapping[str, Any], space: Any) -> None:
    """SB3's replay holds each observation twice, uncompressed. Raises `InputError` where that is more than is free."""
    if peer.algorithm not in OFF_POLICY:
        return
    leaves = space.spaces.values() if hasattr(space, "spaces") else [space]
    row = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)
    need, free = kwargs["buffer_size"] * row * (1 if kwargs.get("optimize_memory_usage") else 2), available_memory()
    if need > free:
        raise InputError(
            f"{peer.name}: SB3's replay needs about {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free: "
            f"lower its buffer_size, as in {peer.source}:{peer.algorithm}:buffer_size=10000"
        )


def _schedule(value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith("lin_")):
        return value
    start = float(value.removeprefix("lin_"))
    return lambda remaining: remaining * start


def _class(key: str, value: Any) -> Any:
    import torch

    if key == "activation_fn":
        return {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU, "elu": torch.nn.ELU}[value]
    if key == "optimizer_class" and value == "RMSpropTFLike":
        from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

        return RMSpropTFLike
    return value
