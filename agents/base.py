"""The interface of all agents: observe rows, update when an update is due, act in separate streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from agents.predict import Predicts
from agents.scale import RewardScale, large_return_warning
from rl.device import repeatable_gpu, restore_torch_generator
from rl.errors import InputError
from rl.frame_stack import FrameStack
from rl.interface import EnvSpec, Obs, TimeStep
from rl.networks.torso import Torso
from rl.normalise import ObservationNormaliser
from rl.optim import FlatOptimizer
from rl.replay import Replay, replay_bytes
from rl.seeding import derive_seed, generator, generator_state, restore_generator

if TYPE_CHECKING:
    from rl.ranks import Ranks

Metrics = dict[str, Tensor]
BatchT = TypeVar("BatchT", bound=Any)


class Choice(NamedTuple):
    """The actions chosen for one row, and the numbers they were chosen by."""

    action: np.ndarray
    """[N] or [N, K], as in `ActionSpec`."""
    extra: dict[str, np.ndarray]
    """Columns stored with the next row, the one that the action leads to (log-probability, value, ...)."""
    output: Any
    """The network's named output (`Q` or `Policy`), tensors [N, ...], for viewers and logs."""


class Decision(NamedTuple):
    """The best action of N observations and the numbers behind it, tensors that can be traced and exported."""

    action: Tensor
    """[N] or [N, K], as in `ActionSpec`."""
    numbers: dict[str, Tensor]
    """Action values, log-probabilities, the value, ..., [N, ...] by name."""
    state: Tensor | None = None
    """The recurrent state [N, state_size] after the observation; None without a recurrent core."""


class Agent(Predicts, ABC):
    """Learns and acts for one `EnvSpec`.

    Args:
        spec: the environment's observations and actions.
        config: the agent's frozen dataclass.
        num_envs: environments in the training stream.
        seed: the run's seed; every generator is derived from it by name.
        device: the networks' device.
    """

    name: ClassVar[str]
    Config: ClassVar[Any]
    numpy_loss: ClassVar[str] = ""
    """The loss's name in `agents.numpy_gradients` or `agents.critic_gradients`, if it is written there."""
    ranks: Ranks | None = None
    """The processes that compute a part of each gradient, if there are several; all hold the same rows."""
    network: nn.Module
    optimizer: FlatOptimizer
    _stream: Actor
    """The training stream."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Config" in cls.__dict__:  # a config names its agent, so that run.json can find the class again
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
        self.reward_scale = RewardScale(num_envs)
        self._replay: Replay | None = None

    # the training stream: observe, update, act

    @abstractmethod
    def observe(self, ts: TimeStep) -> None:
        """Stores a row of the training stream and counts it."""

    @abstractmethod
    def update(self) -> Metrics | None:
        """Learns if an update is due. Returns detached scalars of the newest update, else None."""

    def act(self, ts: TimeStep) -> np.ndarray:
        """The training stream's next action, with exploration.

        Of several ranks, each encodes the observations of its own environments.
        """
        if self.ranks is None:
            return self._stream.act(ts)
        self.ranks.await_turn()
        torsos = [module for module in self.network.modules() if isinstance(module, Torso)]
        for torso in torsos:
            torso.ranks = self.ranks
        try:
            return self._stream.act(ts)
        finally:
            for torso in torsos:
                torso.ranks = None

    @property
    def replay(self) -> Replay:
        """The agent's memory, made at its first use."""
        if self._replay is None:
            fields = self.replay_fields()
            self._replay = Replay(self.spec, self.num_envs, rng=generator(self.seed, "replay"), **fields)
        return self._replay

    @abstractmethod
    def replay_fields(self) -> dict[str, Any]:
        """The replay's own arguments: slots, columns, stack, store, ..."""

    def predicted_bytes(self) -> int:
        """Memory of the full replay, in bytes."""
        return replay_bytes(self.spec, self.num_envs, **self.replay_fields())

    def networks(self) -> list[nn.Module]:
        """The network and its target networks."""
        return [self.network]

    @cached_property
    def normalisers(self) -> list[ObservationNormaliser]:
        """The running observation statistics in the networks, which the rows of the training stream update."""
        return [m for net in self.networks() for m in net.modules() if isinstance(m, ObservationNormaliser)]

    def add_normaliser(self) -> None:
        """Gives the network the moments of `normalize_obs`, which are then saved with it."""
        normaliser = ObservationNormaliser.of(self.spec, self.config.normalize_obs)
        if normaliser is not None:
            self.network.add_module("normaliser", normaliser.to(self.device))

    def normalised(self, obs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leaves [..., *shape] as the network reads them, by the moments of `add_normaliser`."""
        normaliser = self.network._modules.get("normaliser")
        return obs if normaliser is None else normaliser(obs)  # type: ignore[no-any-return]

    # other streams

    @abstractmethod
    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        """Evaluates the network for one row of the actor's stream; obs leaves are [N, (S,) ...].

        Changes nothing but the actor.
        """

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        """The same choice by NumPy alone, without PyTorch's overhead; None if the agent cannot do that."""
        return None

    def greedy(self, obs: dict[str, Tensor], mask: Tensor | None, state: Tensor | None) -> Decision:
        """The greedy policy as a function of tensors alone, for export: no generator, no frame stack, no search.

        Args:
            obs: leaves [N, (S,) *shape] as they are stored, frame stacks included.
            mask: bool [N, A]; None if the environment has none.
            state: [N, state_size], zero at an episode's start; None without a recurrent core.

        Raises:
            InputError: the agent has no network that plays alone.
        """
        raise InputError(f"{self.name} has no network that could play alone: export an agent with a network")

    @property
    def stack(self) -> int:
        """How many frames make an observation."""
        return int(self.config.stack)

    def actor(self, num_envs: int, seed: int, *, stream: str = "evaluate", sample: bool = False) -> Actor:
        """A stream that never affects training: greedy, or with drawn actions if `sample`."""
        return Actor(self, num_envs, seed, stream, mode="sample" if sample else "greedy")

    @property
    def timed(self) -> bool:
        """Whether the greedy action depends on the observation and on the steps since the episode's first row."""
        return False

    def draws(self, sample: bool) -> bool:
        """Whether an actor made with this `sample` draws random numbers."""
        return sample

    def __getstate__(self) -> dict[str, Any]:
        """Cached properties refer to the original's weights, so a copy makes them again."""
        made = {name for kind in type(self).__mro__ for name, x in vars(kind).items() if isinstance(x, cached_property)}
        return {name: value for name, value in vars(self).items() if name not in made}

    # for viewers and logs

    def next_update(self) -> tuple[Any, Tensor | None] | None:
        """The batch of the next gradient update, and the weights [B] of its rows if they have any.

        Draws from the agent's generators. None if there are no rows yet, or if an update has several losses.
        """
        return None

    def objective(self, batch: Any, weight: Tensor | None) -> Tensor:
        """The scalar that an update on what `next_update` returns descends."""
        raise NotImplementedError

    def schedule(self) -> dict[str, float]:
        """The present values of everything that follows a schedule, for the log."""
        return {}

    def choices(self) -> dict[str, Any]:
        """Settings that the agent chose automatically, for run.json."""
        return {}

    def setting_warnings(self) -> list[str]:
        """One line for each setting that cannot work for this environment, with the setting that can."""
        return []

    def settings_warning(self, value: float) -> str:
        """One line if the settings do not suit a discounted return of `value`, else ""."""
        return large_return_warning(self.config, self.name, value)

    # saving

    def agent_state(self) -> dict[str, Any]:
        """What acting needs: weights, normalisers and counters."""
        return {"step": self.step, "updates": self.updates, "network": dict(self.network.state_dict())}

    def load_agent_state(self, state: dict[str, Any]) -> None:
        self.step, self.updates = state["step"], state["updates"]
        self.network.load_state_dict(state["network"])

    def parts(self) -> dict[str, Any]:
        """By name, what only continuing the training needs: objects with a `state_dict`, generators, dicts of them."""
        return {"optimizer": self.optimizer, "stream": self._stream, "replay": self.replay}

    def learner_state(self) -> dict[str, Any]:
        """The state of the `parts`, and the counters that a subclass adds."""
        return {name: _state(part) for name, part in self.parts().items()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        """The replay's rows must have been restored before."""
        for name, part in self.parts().items():
            _restore(part, state[name])


def _state(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _state(inner) for name, inner in part.items()}
    return part.get_state() if isinstance(part, torch.Generator) else dict(part.state_dict())


def _restore(part: Any, state: Any) -> None:
    if isinstance(part, dict):
        for name, inner in part.items():
            _restore(inner, state[name])
    elif isinstance(part, torch.Generator):
        restore_torch_generator(part, state)
    else:
        part.load_state_dict(state)


class Actor:
    """One acting stream: its own frame stack, recurrent state and generators. The weights are the agent's."""

    def __init__(self, agent: Agent, num_envs: int, seed: int, stream: str, mode: str) -> None:
        self.agent, self.num_envs, self.mode = agent, num_envs, mode
        self._key = (seed, stream, "actor")
        self.rng = generator(*self._key)
        self.generator = torch.Generator(agent.device).manual_seed(derive_seed(*self._key))
        self.frames = FrameStack(agent.spec, num_envs, agent.stack)
        self.memory = torch.zeros(num_envs, agent.state_size, device=agent.device)
        """Recurrent state before the next row, float32 [N, state_size]."""
        self.noise: Tensor | None = None
        """gSDE's exploration noise, which is held for some steps."""
        self.age = 0
        """Steps for which the noise or the random action has been held."""
        self.held: np.ndarray | None = None
        """The random action that is held for some steps."""
        self.extra: dict[str, np.ndarray] = {}
        self.output: Any = None

    def act(self, ts: TimeStep) -> np.ndarray:
        """The action for each environment; `output` and `extra` keep the rest of the `Choice`."""
        if self.num_envs == 1 and ts.first[0] and "game" in ts.info:  # each evaluation episode has its own seed
            self._seed(int(ts.info["game"][0]))
        obs = self.frames.push(ts.obs, ts.first)
        choice = self.agent.choose_by_numpy(self, obs, ts)
        if choice is None:
            with torch.inference_mode():
                choice = self.agent.choose(self, as_tensors(obs, self.agent.device), ts)
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
            **({} if self.held is None else {"held": self.held.copy()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore_generator(self.rng, state["rng"])
        restore_torch_generator(self.generator, state["generator"])
        self.frames.load_state_dict(state["frames"])
        self.memory = state["memory"].to(self.agent.device)
        self.noise = None if state["noise"] is None else state["noise"].to(self.agent.device)
        self.age = state["age"]
        self.held = state.get("held")
        self.extra = dict(state["extra"])


def as_tensors(arrays: Obs, device: torch.device) -> dict[str, Tensor]:
    """The arrays as tensors on `device`; on the CPU they share memory."""
    if device.type == "cpu":
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}


def each_tensor(batch: BatchT, change: Callable[[Tensor], Any]) -> BatchT:
    """The batch, a NamedTuple, with every tensor changed but `state`, which has no rows; observations are dicts."""
    kept = {name: x for name, x in batch._asdict().items() if x is not None and name != "state"}
    changed = {
        name: {leaf: change(y) for leaf, y in x.items()} if isinstance(x, dict) else change(x)
        for name, x in kept.items()
    }
    return batch._replace(**changed)  # type: ignore[no-any-return]
