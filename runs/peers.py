"""Stable-Baselines3 on our environments, so that a comparison compares agents and nothing else.

`RowEnv` gives SB3 the rows that our agents see: the same episodes from the same seeds, single frames stacked by the
same rule, rewards clipped for the learner only, a lost life as `done` without a restart. SB3 itself is imported only
here, and only when used.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

import numpy as np

import envs
from envs import EnvConfig
from rl.errors import InputError, RunError, unknown
from rl.frames import available_memory
from rl.schedules import crossed
from rl.seeding import derive_seed, generator
from rl.types import EnvSpec, TimeStep

ALGORITHMS = {
    "dqn": "stable_baselines3:DQN",
    "ppo": "stable_baselines3:PPO",
    "a2c": "stable_baselines3:A2C",
    "qrdqn": "sb3_contrib:QRDQN",
    "recurrent_ppo": "sb3_contrib:RecurrentPPO",
}
OFF_POLICY = ("dqn", "qrdqn")
OURS = ("n_envs", "frame_stack", "normalize", "reward_clip", "policy")
"""Settings of a peer that are no argument of the algorithm."""


@dataclass(frozen=True)
class Peer:
    """One of SB3's algorithms with all it is given."""

    algorithm: str
    """A key of `ALGORITHMS`."""
    source: Literal["sb3", "zoo"]
    """Whose hyperparameters: SB3's defaults, or the RL Zoo's tuned ones."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm that differ from its defaults; schedules as the Zoo writes them, `lin_0.001`."""
    policy: str = "MlpPolicy"
    """SB3's policy class."""
    n_envs: int = 1
    """Parallel environments."""
    frame_stack: int = 1
    """Frames that make one observation."""
    normalize: Any = False
    """SB3's VecNormalize, or its arguments."""
    reward_clip: float | None = None
    """What the learner's rewards are clipped to."""

    @property
    def name(self) -> str:
        return f"{self.source}:{self.algorithm}"


def zoo() -> dict[str, dict[str, dict[str, Any]]]:
    """The RL Zoo's hyperparameters, algorithm -> environment -> values, from the commit named in runs/zoo.json."""
    text = resources.files("runs").joinpath("zoo.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["algorithms"])


def zoo_source() -> str:
    """Repository, commit and files that the Zoo's values come from."""
    return str(json.loads(resources.files("runs").joinpath("zoo.json").read_text(encoding="utf-8"))["source"])


def build_peer(source: Literal["sb3", "zoo"], algorithm: str, spec: EnvSpec, settings: Sequence[str] = ()) -> Peer:
    """The peer for an environment. `settings` are `field=value` of the algorithm or of `Peer`.

    Raises `InputError` for an unknown algorithm or field, one that does not fit the action space, and an environment
    that the Zoo has no values for.
    """
    if algorithm not in ALGORITHMS:
        raise unknown("SB3 algorithm", algorithm, ALGORITHMS)
    kind = spec.action.kind
    if algorithm in OFF_POLICY and kind != "discrete":
        raise InputError(f"{source}:{algorithm} needs one discrete action, {spec.id} has {kind}: use {source}:ppo")
    atari = is_atari(spec)
    values: dict[str, Any] = {}
    if source == "zoo":
        table = zoo()[algorithm]
        key = zoo_key(spec)
        if key not in table:
            raise InputError(
                f"the RL Zoo has no {algorithm} for {key}: use sb3:{algorithm}, or one of {', '.join(table)}"
            )
        values = {k: v for k, v in table[key].items() if k not in ("n_timesteps", "atari_wrapper")}
    elif atari:
        values = {"frame_stack": 4, "n_envs": 1 if algorithm in OFF_POLICY else 8}
    peer = {
        "policy": policy_name(algorithm, spec),
        "reward_clip": 1.0 if atari else None,
        **{k: v for k, v in values.items() if k in OURS},
    }
    rest = {k: v for k, v in values.items() if k not in OURS}
    known = arguments(algorithm)
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known and name not in OURS:
            raise unknown(f"field of {source}:{algorithm}", name, [*known, *OURS])
        (peer if name in OURS else rest)[name] = _parse(text)
    peer["policy"] = policy_name(algorithm, spec) if peer["policy"] in ("MlpPolicy", "CnnPolicy") else peer["policy"]
    return Peer(algorithm, source, rest, **peer)


def zoo_key(spec: EnvSpec) -> str:
    """What the Zoo's tables call an environment: all of Atari is one, the two LunarLanders are two."""
    if spec.id == "LunarLander-v3" and spec.action.kind == "box":
        return "LunarLanderContinuous-v3"
    return "atari" if is_atari(spec) else spec.id


def is_atari(spec: EnvSpec) -> bool:
    return bool(spec.protocol)


def policy_name(algorithm: str, spec: EnvSpec) -> str:
    """SB3's policy for the observation: images, vectors, or several leaves."""
    kind = "MultiInput" if len(spec.obs) > 1 else "Cnn" if any(is_image(leaf) for leaf in spec.obs.values()) else "Mlp"
    return f"{kind}{'Lstm' if algorithm == 'recurrent_ppo' else ''}Policy"


def reads_flat(spec: EnvSpec) -> bool:
    """Whether there is a picture or board that SB3's policy gets as one flat vector."""
    return any(leaf.kind in ("image", "board") and not is_image(leaf) for leaf in spec.obs.values())


def is_image(leaf: Any) -> bool:
    """Whether SB3's CNN can read it: uint8, and no side below the 36 pixels its first kernels need."""
    if leaf.kind != "image" or leaf.dtype != "uint8":
        return False
    height, width = leaf.shape[:2] if leaf.layout == "HWC" else leaf.shape[-2:]
    return bool(min(height, width) >= 36)


def arguments(algorithm: str) -> dict[str, Any]:
    """The algorithm's arguments with their defaults, as JSON has them."""
    import inspect

    signature = inspect.signature(algorithm_class(algorithm).__init__)
    hidden = {
        "self",
        "policy",
        "env",
        "seed",
        "device",
        "verbose",
        "tensorboard_log",
        "_init_setup_model",
        "stats_window_size",
    }
    return {name: p.default for name, p in signature.parameters.items() if name not in hidden}


def algorithm_class(algorithm: str) -> Any:
    """SB3's class. Raises `InputError` where the package is not installed."""
    module, _, name = ALGORITHMS[algorithm].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = "pip install sb3-contrib" if module == "sb3_contrib" else "pip install stable-baselines3"
        raise InputError(f"sb3:{algorithm} needs {module}, which is not installed: {extra}") from error


def _parse(text: str) -> Any:
    """`3e-4`, `256x256`, `true`, `none`, JSON, else text."""
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    parts = text.split("x")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        return [int(part) for part in parts]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return int(value) if isinstance(value, float) and value.is_integer() and "e" in text and "-" not in text else value


def full_config(peer: Peer, steps: int) -> dict[str, Any]:
    """Everything the peer trains with, defaults included, for the page's table.

    What our agents have too goes by our names, so that the two stand side by side; then SB3's own words, `sb3.` before.
    """
    fields, run, _ = ours_like(peer, steps)
    defaults = {
        k: v for k, v in arguments(peer.algorithm).items() if v is None or isinstance(v, (bool, int, float, str))
    }
    own = {k: v for k, v in dataclasses.asdict(peer).items() if k in OURS}
    used = {**own, **defaults, **peer.settings}
    if peer.algorithm in OFF_POLICY:
        used["buffer_size"] = fields["buffer_size"] = model_arguments(peer, steps)["buffer_size"]
    theirs = {f"sb3.{k}": v for k, v in used.items()}
    return {**run, **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}, **theirs}


# The environment


class FrameStack:
    """The newest `stack` frames of each environment, the first frame of an episode repeated before it."""

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self._frames: dict[str, np.ndarray] = {}

    def push(self, obs: Mapping[str, np.ndarray], first: np.ndarray, only: np.ndarray | None = None) -> None:
        """Takes a row; environments outside `only` keep what they have."""
        for name, leaf in obs.items():
            if name not in self._frames:
                self._frames[name] = np.repeat(leaf[:, None], self.stack, axis=1)
                continue
            frames = self._frames[name]
            if only is None:
                frames[:, :-1] = frames[:, 1:]
                frames[:, -1] = leaf
                frames[first] = leaf[first][:, None]
            else:
                frames[only] = leaf[only][:, None]

    def read(self) -> dict[str, np.ndarray]:
        """[N, S, ...] by leaf; reused by the next `push`."""
        return self._frames


class Reader:
    """From our observation leaves to SB3's: the space, and the arrays [N, ...] in it.

    Images go channels first with the stack among the channels; what SB3's CNN cannot read is flattened to a vector.
    """

    def __init__(self, spec: EnvSpec, stack: int) -> None:
        from gymnasium import spaces

        self.spec, self.stack = spec, stack
        found = {name: self._space(name, spaces) for name in spec.obs}
        self.single = len(found) == 1
        name, leaf = next(iter(spec.obs.items()))
        plain = self.single and leaf.kind == "vector" and leaf.dtype == "float32" and len(leaf.shape) == 1
        self._plain = name if plain else None
        self.space = next(iter(found.values())) if self.single else spaces.Dict(found)

    def _space(self, name: str, spaces: Any) -> Any:
        leaf = self.spec.obs[name]
        if leaf.kind == "index" and self.stack > 1:
            raise InputError(f"{self.spec.id}: SB3 cannot stack categories: leave frame_stack at 1")
        if leaf.kind == "index":
            return spaces.Discrete(leaf.nvec[0]) if len(leaf.nvec) == 1 else spaces.MultiDiscrete(leaf.nvec)
        if is_image(leaf):
            height, width = leaf.shape[:2] if leaf.layout == "HWC" else leaf.shape[-2:]
            channels = int(np.prod(leaf.shape)) // (height * width)
            return spaces.Box(0, 255, (self.stack * channels, height, width), np.uint8)
        size = self.stack * int(np.prod(leaf.shape))
        return spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def __call__(self, stacks: Mapping[str, np.ndarray]) -> Any:
        """SB3's observation of frames [N, S, ...]; a new array."""
        out = {name: self._leaf(name, stacks[name]) for name in self.spec.obs}
        return next(iter(out.values())) if self.single else out

    def single_frames(self, obs: Mapping[str, np.ndarray]) -> Any:
        """The same of unstacked leaves [N, ...]."""
        if self._plain is not None:  # one float32 vector, as most are: four times quicker than the general way
            return obs[self._plain].copy()
        return self({name: leaf[:, None] for name, leaf in obs.items()})

    def _leaf(self, name: str, frames: np.ndarray) -> np.ndarray:
        leaf, count = self.spec.obs[name], len(frames)
        if leaf.kind == "index":
            flat = frames[:, -1].reshape(count, -1)
            return flat[:, 0].astype(np.int64) if len(leaf.nvec) == 1 else flat.astype(np.int64)
        if is_image(leaf):
            if leaf.layout == "HWC":
                frames = np.moveaxis(frames, -1, 2)
            height, width = frames.shape[-2:]
            return frames.reshape(count, -1, height, width).copy()
        flat = frames.reshape(count, -1).astype(np.float32)
        return flat / np.float32(leaf.scale) if leaf.kind == "image" else flat


def action_space(spec: EnvSpec) -> Any:
    """SB3's space for our actions."""
    from gymnasium import spaces

    a = spec.action
    if a.kind == "discrete":
        return spaces.Discrete(a.nvec[0])
    if a.kind == "multidiscrete":
        return spaces.MultiDiscrete(a.nvec)
    if a.kind == "multibinary":
        return spaces.MultiBinary(a.size)
    return spaces.Box(np.array(a.low, np.float32), np.array(a.high, np.float32), dtype=np.float32)


@functools.cache
def row_env_class() -> Any:
    """`RowEnv`, whose base class needs SB3."""
    from stable_baselines3.common.vec_env import VecEnv

    class RowEnv(VecEnv):  # type: ignore[misc]
        """Our stream of rows as SB3's VecEnv. Every step is a transition; there are no dummy rows."""

        def __init__(self, stream: Any, stack: int = 1, reward_clip: float | None = None) -> None:
            self.stream, self.reward_clip = stream, reward_clip
            self.render_mode = None
            self.reader = Reader(stream.spec, stack)
            self.frames = FrameStack(stack)
            self._shape = (stream.num_envs, *stream.spec.action.shape)
            self.row: TimeStep | None = None
            """The newest row before ended environments were started again."""
            super().__init__(stream.num_envs, self.reader.space, action_space(stream.spec))

        def reset(self) -> Any:
            ts = self.stream.reset()
            self.frames = FrameStack(self.frames.stack)
            return self._see(ts)

        def _see(self, ts: TimeStep, only: np.ndarray | None = None) -> Any:
            if self.frames.stack == 1:
                return self.reader.single_frames(ts.obs)
            self.frames.push(ts.obs, ts.first, only)
            return self.reader(self.frames.read())

        def step_async(self, actions: np.ndarray) -> None:
            self._actions = actions if actions.shape == self._shape else np.asarray(actions).reshape(self._shape)

        def step_wait(self) -> Any:
            self.row = ts = self.stream.step(self._actions)
            obs = self._see(ts)
            died = ts.discount == 0
            done = ts.last | died
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            if done.any():
                for i in np.flatnonzero(done):
                    final = obs[i] if self.reader.single else {k: v[i] for k, v in obs.items()}
                    infos[i] = {"terminal_observation": final, "TimeLimit.truncated": bool(ts.last[i] and not died[i])}
                if ts.last.any():
                    obs = self._see(self.stream.start_ended(), only=ts.last)
            reward = ts.reward if self.reward_clip is None else np.clip(ts.reward, -self.reward_clip, self.reward_clip)
            return obs, reward, done, infos

        def close(self) -> None:
            self.stream.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            if attr_name == "render_mode":
                return [None] * len(list(self._get_indices(indices)))
            raise AttributeError(f"RowEnv has no {attr_name!r} in its environments")

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise AttributeError(f"RowEnv has no {attr_name!r} in its environments")

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            raise AttributeError(f"RowEnv has no {method_name!r} in its environments")

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * len(list(self._get_indices(indices)))

    return RowEnv


# Training


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
        return self.peer.algorithm in OFF_POLICY

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
        action, self.state = self.agent.model.predict(
            obs, state=self.state, episode_start=ts.first, deterministic=not self.draws
        )
        a = self.agent.spec.action
        action = np.asarray(action).reshape(len(ts.first), *a.shape).astype(a.dtype)
        if self.epsilon > 0:
            from agents.value import epsilon_greedy

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
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    if threads:
        torch.set_num_threads(threads)
    if peer.n_envs > steps:
        raise InputError(f"{peer.name} has {peer.n_envs} environments, more than the {steps} steps of the budget")
    stream = envs.make(env, num_envs=peer.n_envs, seed=seed, stream="train", config=config)
    vec: Any = row_env_class()(stream, peer.frame_stack, peer.reward_clip)
    try:
        if peer.normalize:
            given = peer.normalize if isinstance(peer.normalize, Mapping) else {}
            vec = VecNormalize(vec, gamma=peer.settings.get("gamma", 0.99), **given)
        kwargs = model_arguments(peer, steps)
        _preflight(peer, kwargs, vec.observation_space)
        try:
            model = algorithm_class(peer.algorithm)(peer.policy, vec, seed=seed, device=device, **kwargs)
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"{peer.name} on {env}: {str(error).splitlines()[0]}") from error
        agent = PeerAgent(peer, model, stream.spec, eval_epsilon)
        whole = steps - steps % peer.n_envs
        clock = Clock()

        class Budget(BaseCallback):  # type: ignore[misc]
            """Stops exactly at the budget, and evaluates on the way without touching the training's generators."""

            curve: list[tuple[int, float, float]]
            due: bool
            """Whether to evaluate once the update that is due at this step, too, is made, as for ours."""

            def _on_training_start(self) -> None:
                self.curve, self.due = [], False
                clock.start()

            def _on_rollout_start(self) -> None:
                if self.due:
                    self._evaluate()

            def _on_training_end(self) -> None:
                self._on_rollout_start()

            def _evaluate(self) -> None:
                assert evaluate is not None
                self.due = False
                with clock.stopped(), generators_kept(model):
                    self.curve.append((agent.step, clock.seconds, evaluate(agent)))

            def _on_step(self) -> bool:
                agent.step = self.num_timesteps
                if (
                    evaluate is not None
                    and agent.step < steps
                    and crossed(agent.step - peer.n_envs, agent.step, eval_every)
                ):
                    self.due = True
                    if not rollout_ends(model, agent.step):
                        self._evaluate()
                if self.curve and enough(self.curve):
                    return False
                # SB3 ends by itself after the update; told to end at the rollout's last step it would leave that out
                return bool(self.num_timesteps < whole or rollout_ends(model, whole))

        budget = Budget()
        try:
            model.learn(whole, callback=budget)
        except (ValueError, RuntimeError) as error:
            raise RunError(f"{peer.name} on {env}: {str(error).splitlines()[0]}") from error
        clock.stop()
        agent.step = model.num_timesteps
        return Training(agent, agent.step, clock.seconds, budget.curve)
    finally:
        vec.close()


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


def model_arguments(peer: Peer, steps: int) -> dict[str, Any]:
    """The algorithm's arguments as SB3 takes them: schedules and classes from their names.

    A buffer larger than the budget is cut to it, which changes nothing that SB3 samples.
    """
    out = {k: _schedule(v) for k, v in peer.settings.items()}
    if peer.algorithm in OFF_POLICY:
        out["buffer_size"] = min(out.get("buffer_size", arguments(peer.algorithm)["buffer_size"]), steps)
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


# Our agents with their hyperparameters


def ours_like(peer: Peer, steps: int) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The peer's hyperparameters for our agent of the same algorithm.

    Returns the agent's fields (dotted), the run's fields and, in words, what could not be carried over. Rhythms are
    translated from SB3's environment steps to our gradient updates.
    """
    given = {**arguments(peer.algorithm), **peer.settings}
    kwargs = dict(given.get("policy_kwargs") or {})
    fields: dict[str, Any] = {"gamma": given["gamma"], "stack": peer.frame_stack, "reward_clip": peer.reward_clip}
    run: dict[str, Any] = {"num_envs": peer.n_envs}
    lost: list[str] = []
    fields["lr"] = _ramp(given["learning_rate"], steps)
    fields["max_grad_norm"] = given["max_grad_norm"]
    hidden = kwargs.pop("net_arch", None)
    if isinstance(hidden, dict):
        if hidden.get("pi") != hidden.get("vf"):
            lost.append(f"net_arch={hidden}: policy and value have the same layers here")
        hidden = hidden["pi"]
    image = peer.policy.startswith("Cnn")
    fields["net.hidden"] = tuple(hidden) if hidden else (None if image else (64, 64))
    if not peer.policy.startswith("MultiInput"):  # auto would convolve boards, which SB3 reads flat
        fields["net.encoder"] = "nature" if image else "mlp"
    off_policy = peer.algorithm in OFF_POLICY
    fields["net.activation"] = kwargs.pop("activation_fn", "relu" if off_policy or image else "tanh")
    if off_policy:
        every, updates = given["train_freq"], given["gradient_steps"]
        every = every * peer.n_envs if isinstance(every, int) else every[0]
        updates = every if updates < 0 else updates
        target = max(updates, round(given["target_update_interval"] * updates / every))
        fields |= {
            "optimizer": "adam",
            "adam_eps": 1e-8 if peer.algorithm == "dqn" else 0.01 / given["batch_size"],
            "batch_size": given["batch_size"],
            # never full, as SB3's: every second row at most starts a game, which SB3 does not store
            "buffer_size": min(given["buffer_size"], 2 * (steps + peer.n_envs)),
            "learning_starts": given["learning_starts"],
            "update_every": every,
            "replay_ratio": updates / every,
            "target_every": target,
            "target_tau": given["tau"],
            "n_step": given.get("n_steps", 1),
            "epsilon": {
                "start": given["exploration_initial_eps"],
                "end": given["exploration_final_eps"],
                "steps": max(1, round(given["exploration_fraction"] * steps)),
            },
            "double": False,
            "dueling": False,
            "prioritized": False,
            "noisy": False,
            "huber": True,
        }
        if peer.algorithm == "qrdqn":
            fields["quantiles"] = kwargs.pop("n_quantiles", 200)
            del fields["huber"]
        if given.get("optimize_memory_usage"):
            lost.append("optimize_memory_usage: frames are never stored twice here")
    else:
        lost.append(f"n_steps={given['n_steps']}: rows that start a game count in our rollouts, and are no steps")
        if peer.normalize:
            lost.append(
                "normalize: our moments of observations and returns move after each rollout, VecNormalize's at every "
                "step; the first rollout's observations are raw here"
            )
        fields |= {
            "rollout": given["n_steps"],
            "gae_lambda": given["gae_lambda"],
            "entropy_cost": given["ent_coef"],
            "value_cost": given["vf_coef"],
            "normalize_advantage": given.get("normalize_advantage", True),
            "normalize_obs": bool(peer.normalize),
            "normalize_return": bool(peer.normalize),
        }
        if peer.algorithm == "a2c":
            fields |= {"optimizer": "rmsprop", "adam_eps": given["rms_prop_eps"]}
            if kwargs.pop("optimizer_class", None):
                lost.append("optimizer_class=RMSpropTFLike: PyTorch's RMSprop with the same rate and epsilon")
            kwargs.pop("optimizer_kwargs", None)
        else:
            fields |= {
                "optimizer": "adam",
                "adam_eps": 1e-5,
                "epochs": given["n_epochs"],
                "minibatch_size": given["batch_size"],
                "clip": _ramp(given["clip_range"], steps),
                "value_clip": given["clip_range_vf"],
                "target_kl": given["target_kl"],
            }
        if peer.algorithm == "recurrent_ppo":
            fields |= {"net.core": "lstm", "net.core_size": kwargs.pop("lstm_hidden_size", 256)}
            lost.append(
                "the order of memory and layers: observation, LSTM, net_arch, head in SB3; observation, layers, LSTM, "
                "head here"
            )
            fields["critic"] = "separate" if kwargs.pop("enable_critic_lstm", True) else "shared"
        fields["net.orthogonal"] = kwargs.pop("ortho_init", True)
        fields["policy.gain"] = 0.01 if fields["net.orthogonal"] else 0.0
        if given.get("use_sde"):
            fields |= {"policy.deviation": "gsde", "noise_every": max(1, given["sde_sample_freq"])}
            fields["policy.log_std"] = kwargs.pop("log_std_init", 0.0)
            if given["sde_sample_freq"] < 0:
                fields["noise_every"] = given["n_steps"]
        fields["policy.log_std"] = kwargs.pop("log_std_init", fields.get("policy.log_std", 0.0))
    lost += [f"policy_kwargs.{name}={value}" for name, value in kwargs.items()]
    return fields, run, lost


def apply_fields(config: Any, fields: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """`config` with the dotted `fields` that it has; the others come back as lines, where they would matter."""
    from runs.settings import from_json, to_json

    data, lost = to_json(config), []
    for name, value in fields.items():
        *groups, last = name.split(".")
        place = data
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            if value not in (None, False):
                lost.append(f"{name}={value}: our {data.get('name', 'agent')} has no such field")
            continue
        place[last] = list(value) if isinstance(value, tuple) else value
    return from_json(type(config), data), lost


def _ramp(value: Any, steps: int) -> Any:
    """A Zoo schedule `lin_x` as ours, from x to 0 over the budget."""
    if isinstance(value, str) and value.startswith("lin_"):
        return {"start": float(value.removeprefix("lin_")), "end": 0.0, "steps": steps}
    return value


# Speed, as a user of SB3 would have it


def sb3_speed(
    algorithm: str,
    env: str,
    steps: int,
    *,
    source: Literal["sb3", "zoo"] = "sb3",
    settings: Sequence[str] = (),
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """Trains SB3 as its documentation shows, on its own environments and wrappers, and measures that.

    Returns `steps` (as SB3 counts them, its overshoot included), `seconds`, `steps_per_second` and `n_envs`.
    """
    import torch
    from stable_baselines3.common.env_util import make_atari_env, make_vec_env
    from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

    torch.set_num_threads(threads)
    spec = envs.spec(env)
    peer = build_peer(source, algorithm, spec, settings)
    if is_atari(spec):
        import ale_py
        import gymnasium

        gymnasium.register_envs(ale_py)
        game = env.rsplit("/", 1)[-1].removesuffix("-v5")
        vec: Any = make_atari_env(f"{game}NoFrameskip-v4", n_envs=peer.n_envs, seed=seed)
        vec = VecFrameStack(vec, peer.frame_stack)
    else:
        vec = make_vec_env(env, n_envs=peer.n_envs, seed=seed)
    if peer.normalize:
        vec = VecNormalize(vec, **(peer.normalize if isinstance(peer.normalize, Mapping) else {}))
    try:
        model = algorithm_class(algorithm)(peer.policy, vec, seed=seed, device=device, **model_arguments(peer, steps))
        begun = time.perf_counter()
        model.learn(steps)
        seconds = time.perf_counter() - begun
    finally:
        vec.close()
    done = int(model.num_timesteps)
    return {"steps": done, "seconds": seconds, "steps_per_second": done / seconds, "n_envs": peer.n_envs}
