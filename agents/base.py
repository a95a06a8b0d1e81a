"""What every player is: it observes rows, updates itself when that is due, and acts in separate streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.predict import Predicts
from rl.device import repeatable_gpu, restore_torch_generator
from rl.frame_stack import FrameStack
from rl.interface import EnvSpec, Obs, TimeStep
from rl.replay import Replay
from rl.seeding import derive_seed, generator, generator_state, restore_generator

Metrics = dict[str, Tensor]


class Choice(NamedTuple):
    """What one look at the network gave."""

    action: np.ndarray
    """[N] or [N, K], as `ActionSpec` says."""
    extra: dict[str, np.ndarray]
    """What is stored with the next row, the one the action leads to (log-probability, value, ...)."""
    output: Any
    """The network's named output (`Q` or `Policy`), tensors [N, ...], for those who watch."""


class Agent(Predicts, ABC):
    """A learner and player for one `EnvSpec`.

    Args:
        spec: what the environment shows and takes.
        config: the agent's frozen dataclass.
        num_envs: environments in the training stream.
        seed: the run's seed; every generator is derived from it by name.
        device: where the networks live.
    """

    name: ClassVar[str]
    Config: ClassVar[Any]
    network: nn.Module

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Config" in cls.__dict__:  # a config says whose it is, so that run.json can find the class again
            ours = cls.__module__.startswith("agents.")
            cls.Config.name = cls.name if ours else f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        self.spec, self.config, self.num_envs, self.seed = spec, config, num_envs, seed
        self.device = torch.device(device)
        if self.device.type == "cuda":
            repeatable_gpu()
        self.step = 0
        """Counted rows observed: rows that are not `first`."""
        self.updates = 0
        """Gradient updates made."""

    # the training stream: observe, update, act

    @abstractmethod
    def observe(self, ts: TimeStep) -> None:
        """Takes a row of the training stream into memory and counts it."""

    @abstractmethod
    def update(self) -> Metrics | None:
        """Learns if an update is due. Returns detached scalars of the newest update, else None."""

    @abstractmethod
    def act(self, ts: TimeStep) -> np.ndarray:
        """The training stream's next action, exploring."""

    # other streams

    @abstractmethod
    def look(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        """One look at the network for `actor`'s stream: obs leaves are [N, (S,) ...]. May change the actor only."""

    def glance(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        """What `look` would choose, without PyTorch's overhead: by NumPy alone. None where the agent cannot."""
        return None

    @property
    @abstractmethod
    def stack(self) -> int:
        """How many frames make an observation."""

    @property
    @abstractmethod
    def replay(self) -> Replay:
        """The agent's memory."""

    @property
    def state_size(self) -> int:
        """Length of the recurrent state of one environment, 0 without a core."""
        return 0

    def actor(self, num_envs: int, seed: int, *, stream: str = "evaluate", sample: bool = False) -> Actor:
        """A stream of its own that never touches training: greedy, or drawing actions where `sample`."""
        return Actor(self, num_envs, seed, stream, mode="sample" if sample else "greedy")

    def draws(self, sample: bool) -> bool:
        """Whether an actor made with this `sample` draws random numbers."""
        return sample

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: what is made at the first use reads the original's weights, and is made anew."""
        made = {name for kind in type(self).__mro__ for name, x in vars(kind).items() if isinstance(x, cached_property)}
        return {name: value for name, value in vars(self).items() if name not in made}

    # for those who look on

    def schedule(self) -> dict[str, float]:
        """Numbers that follow a schedule, as they stand now, for the log."""
        return {}

    def choices(self) -> dict[str, Any]:
        """What was chosen automatically, for run.json."""
        return {}

    @abstractmethod
    def predicted_bytes(self) -> int:
        """Memory that the replay will take when it is full."""

    # saving

    @abstractmethod
    def agent_state(self) -> dict[str, Any]:
        """What acting needs: weights and normalisers."""

    @abstractmethod
    def load_agent_state(self, state: dict[str, Any]) -> None: ...

    @abstractmethod
    def learner_state(self) -> dict[str, Any]:
        """What only continuing the training needs: optimizer, counters, streams, generators, the replay's index."""

    @abstractmethod
    def load_learner_state(self, state: dict[str, Any]) -> None:
        """The replay's rows must have been put back before."""


class Actor:
    """One acting stream: its own stack, recurrent state and generators. The weights are the agent's."""

    def __init__(self, agent: Agent, num_envs: int, seed: int, stream: str, mode: str) -> None:
        self.agent, self.num_envs, self.mode = agent, num_envs, mode
        self._key = (seed, stream, "actor")
        self.rng = generator(*self._key)
        self.generator = torch.Generator(agent.device).manual_seed(derive_seed(*self._key))
        self.frames = FrameStack(agent.spec, num_envs, agent.stack)
        self.memory = torch.zeros(num_envs, agent.state_size, device=agent.device)
        """Recurrent state before the next row, float32 [N, state_size]."""
        self.noise: Tensor | None = None
        """Exploration noise that is held for some steps, and its age; gSDE's."""
        self.age = 0
        self.extra: dict[str, np.ndarray] = {}
        self.output: Any = None

    def act(self, ts: TimeStep) -> np.ndarray:
        """The action for each environment; `output` and `extra` keep what the network said."""
        if self.num_envs == 1 and ts.first[0] and "game" in ts.info:  # each game of an evaluation draws its own
            self._seed(int(ts.info["game"][0]))
        obs = self.frames.push(ts.obs, ts.first)
        choice = self.agent.glance(self, obs, ts)
        if choice is None:
            with torch.inference_mode():
                choice = self.agent.look(self, as_tensors(obs, self.agent.device), ts)
        self.extra, self.output = choice.extra, choice.output
        return choice.action

    def _seed(self, game: int) -> None:
        self.rng = generator(*self._key, game)
        self.generator.manual_seed(derive_seed(*self._key, game))

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": generator_state(self.rng),
            "generator": self.generator.get_state(),
            "frames": self.frames.state_dict(),
            "memory": self.memory.clone(),
            "noise": None if self.noise is None else self.noise.clone(),
            "age": self.age,
            "extra": dict(self.extra),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore_generator(self.rng, state["rng"])
        restore_torch_generator(self.generator, state["generator"])
        self.frames.load_state_dict(state["frames"])
        self.memory = state["memory"].to(self.agent.device)
        self.noise = None if state["noise"] is None else state["noise"].to(self.agent.device)
        self.age = state["age"]
        self.extra = dict(state["extra"])


def unchanged(agent: Agent, home: type, *methods: str) -> bool:
    """Whether `agent` has these methods from `home`, so that what is written by hand beside them holds for it too."""
    return all(getattr(type(agent), name) is getattr(home, name) for name in methods)


def as_tensors(arrays: Obs, device: torch.device) -> dict[str, Tensor]:
    """The arrays as tensors on `device`; on the CPU they share memory."""
    if device.type == "cpu":
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
