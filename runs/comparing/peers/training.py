"""Training and playing a Stable-Baselines3 model on our rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common import noise
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecNormalize

import envs
from agents.value_player import epsilon_greedy
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
    Peer,
    algorithm_class,
    arguments,
)
from runs.comparing.peers.row_env import FrameStack, Reader, RowEnv

Point = tuple[int, float, float]
"""A point of a learning curve: step, seconds of training, and the score that `evaluate` returned."""


class PeerAgent:
    """SB3's model with the interface that the evaluator uses of our agents."""

    def __init__(self, peer: Peer, model: Any, spec: EnvSpec, eval_epsilon: float = 0.0) -> None:
        self.peer, self.model, self.spec = peer, model, spec
        self.eval_epsilon = eval_epsilon
        """Share of random actions when a value learner is evaluated, as in our `ValueConfig`."""
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
        """Share of random actions by the rule of our `ValuePlayer`: if sampled, the final epsilon of training."""
        if not self.learns_values:
            return 0.0
        return float(self.model.exploration_final_eps) if sample else self.eval_epsilon


class PeerActor:
    """One acting stream of SB3's policy: its own stack, recurrent state and generators, and a frozen normaliser."""

    def __init__(self, agent: PeerAgent, num_envs: int, seed: int, stream: str, sample: bool) -> None:
        self.agent, self.num_envs = agent, num_envs
        self.epsilon = agent.epsilon(sample)
        self.draws = sample and not agent.learns_values
        """Whether SB3's policy samples. Value learners are always greedy: they would use NumPy's global generator."""
        self.reader = Reader(agent.spec, agent.peer.frame_stack)
        self.frames = FrameStack(agent.peer.frame_stack)
        self.state: Any = None
        self._key = (seed, stream, "actor")
        self._seed()

    def _seed(self, *game: int) -> None:
        self.rng = generator(*self._key, *game)
        if self.draws:  # SB3's policies sample from PyTorch's shared generator
            torch.manual_seed(derive_seed(*self._key, *game))

    def act(self, ts: TimeStep) -> np.ndarray:
        # Each game has its own generator, as with our agents.
        if self.num_envs == 1 and ts.first[0] and "game" in ts.info:
            self._seed(int(ts.info["game"][0]))
        obs = self.reader(self.frames.push(ts.obs, ts.first))
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
            action = epsilon_greedy(action, self.epsilon, a.nvec[0], ts.mask, self.rng)
        return action


@dataclass
class Training:
    """The result of `train_peer`."""

    agent: PeerAgent
    steps: int
    seconds: float
    """Time of the training without its evaluations."""
    curve: list[Point]


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
    enough: Callable[[list[Point]], bool] = lambda curve: False,
) -> Training:
    """Trains SB3 on our environment for `steps` environment steps and calls `evaluate` every `eval_every` steps.

    The training ends early if the curve so far is `enough`. If `steps` is not a multiple of the number of
    environments, the last slot, which would exceed the budget, is left out; `Training.steps` is the number taken. SB3
    still learns from a rollout that ends with the budget.

    Raises `InputError` if SB3 refuses the arguments or its replay does not fit into memory, and `RunError` if the
    training fails.
    """
    if threads:
        torch.set_num_threads(threads)
    if peer.n_envs > steps:
        raise InputError(f"{peer.name} has {peer.n_envs} environments, more than the {steps} steps of the budget")
    stream = envs.make(env, num_envs=peer.n_envs, seed=seed, stream="train", config=config)
    vec: Any = RowEnv(stream, peer.frame_stack, peer.reward_clip)
    try:
        if peer.normalize:
            given = peer.normalize if isinstance(peer.normalize, Mapping) else {}
            vec = VecNormalize(vec, gamma=peer.settings.get("gamma", 0.99), **given)
        kwargs = model_arguments(peer, steps, stream.spec.action.size)
        _preflight(peer, kwargs, vec.observation_space)
        try:
            model = algorithm_class(peer.algorithm)(peer.policy, vec, seed=seed, device=device, **kwargs)
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"{peer.name} on {env}: {str(error).splitlines()[0]}") from error
        training = Training(PeerAgent(peer, model, stream.spec, eval_epsilon), 0, 0.0, [])
        budget = Budget(training, steps, evaluate, eval_every, enough)
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


class Budget(BaseCallback):  # type: ignore[misc]
    """Stops the training exactly at its budget, and evaluates without touching the training's generators."""

    def __init__(self, training: Training, steps: int, evaluate: Any, eval_every: int, enough: Any) -> None:
        super().__init__()
        self.training, self.steps, self.evaluate = training, steps, evaluate
        self.eval_every, self.enough = eval_every, enough
        self.clock = Clock()
        self.due = False
        """Whether an evaluation waits for the update that is due at the same step, as with our agents."""

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
        # SB3 stops by itself after the update. Stopped at a rollout's last step, it would skip this update.
        whole = self.steps - self.steps % n_envs
        return bool(self.num_timesteps < whole or rollout_ends(self.model, whole))


def rollout_ends(model: Any, steps: int) -> bool:
    """Whether a rollout of SB3 ends after `steps` steps over all environments, so that it takes none beyond them.

    Always False if `train_freq` counts episodes, because an episode may go on.
    """
    freq = getattr(model, "train_freq", None)
    rows = model.n_steps if freq is None else freq.frequency  # a value learner's n_steps belong to its returns
    return (freq is None or freq.unit.value == "step") and steps % (rows * model.n_envs) == 0


class Clock:
    """Measures the seconds of training without the evaluations."""

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
    def stopped(self) -> Iterator[None]:
        self.stop()
        yield
        self.start()


@contextmanager
def generators_kept(model: Any) -> Iterator[None]:
    """Restores the shared generators that SB3 draws from: NumPy's, PyTorch's and its action space's."""
    space = model.action_space.np_random.bit_generator
    kept = np.random.get_state(), space.state  # noqa: NPY002
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):  # the CPU's and every GPU's
            yield
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002
        space.state = kept[1]


def model_arguments(peer: Peer, steps: int, actions: int) -> dict[str, Any]:
    """The constructor's arguments, with schedules, classes and action noise in place of their names.

    A buffer larger than the budget is cut to the budget, which does not change what SB3 samples. `actions` is the size
    of an action.
    """
    out = {k: _schedule(v) for k, v in peer.settings.items() if k not in NOISE}
    if peer.algorithm in OFF_POLICY:
        out["buffer_size"] = min(out.get("buffer_size", arguments(peer.algorithm)["buffer_size"]), steps)
    if peer.settings.get("noise_std"):
        normal = peer.settings.get("noise_type", "normal") == "normal"
        kind = noise.NormalActionNoise if normal else noise.OrnsteinUhlenbeckActionNoise
        out["action_noise"] = kind(np.zeros(actions), np.full(actions, peer.settings["noise_std"]))
    if "policy_kwargs" in out:
        out["policy_kwargs"] = {k: _class(k, v) for k, v in out["policy_kwargs"].items()}
    return out


def _preflight(peer: Peer, kwargs: Mapping[str, Any], space: Any) -> None:
    """Raises `InputError` if SB3's replay, which holds each observation twice and uncompressed, exceeds free memory."""
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
    if key == "activation_fn":
        return {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU, "elu": torch.nn.ELU}[value]
    if key == "optimizer_class" and value == "RMSpropTFLike":
        return RMSpropTFLike
    return value
