"""N environments that advance together, each episode from a seed that the caller names.

The libraries' vectorisers differ in who resets, when, and with which seed. Here they all have one shape: `step` takes
the actions and the environments that start a new episode in this very slot, whose action is then ignored. So nothing
resets by itself, nothing is reset twice where it need not be, and `envs.stream` writes rows without asking who runs
below.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv

from envs.spaces import LeafCast, action_cast, observation_casts
from rl.errors import InputError, RunError

MakeEnv = Callable[[], gymnasium.Env]
Starts = Mapping[int, int | None]
"""Environment index to the seed of the episode it starts now; None: it sleeps from now on and need not be stepped."""
Info = dict[str, Any]
"""Per key one value for each environment, None where it gave none."""


class Outcome(NamedTuple):
    """What one slot brought, besides the observations. Entries of environments that started mean nothing."""

    reward: Any  # [N]
    terminated: Any  # [N]
    truncated: Any  # [N]
    info: Info


class Vector(ABC):
    """N environments behind one `step`. Observations of the newest slot are read with `raw`."""

    name: str
    """What runs below, for run.json: sync, async, native or ale."""
    num_envs: int
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    capped = True
    """Whether the environments themselves truncate at `max_steps`."""
    seeded = True
    """Whether an episode can be started from a seed, alone."""
    prepares = False
    """Whether `prepare` is of use."""
    has_state = False
    """Whether `get_state` and `set_state` carry the exact state, so that no actions need to be replayed."""

    @abstractmethod
    def reset(self, seeds: Sequence[int]) -> Info:
        """Starts an episode in every environment."""

    @abstractmethod
    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        """Advances every environment by one slot."""

    @abstractmethod
    def restart(self, starts: Starts) -> Info:
        """Starts episodes in some environments, between slots, and leaves the others as they are."""

    @abstractmethod
    def raw(self, cast: LeafCast) -> np.ndarray:
        """The newest observations of one leaf, [N, *cast.raw_shape]; may alias memory that the next step reuses."""

    def prepare(self, seeds: Sequence[int]) -> None:
        """Hints at the seeds from which the next episodes will start; only where `prepares`."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """The exact state of all environments (JSON-able values and arrays); only where `has_state`."""
        raise NotImplementedError

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` gave."""
        raise NotImplementedError

    @abstractmethod
    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment."""

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the slot before; None where things only jump."""
        return None

    @abstractmethod
    def close(self) -> None: ...


class Serial(Vector):
    """Environments stepped one after the other in this process."""

    name = "sync"

    def __init__(self, makes: Sequence[MakeEnv]) -> None:
        self._envs = [make() for make in makes]
        self.num_envs = len(self._envs)
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._observations: list[Any] = [None] * self.num_envs
        self._asleep = [False] * self.num_envs

    def reset(self, seeds: Sequence[int]) -> Info:
        self._asleep = [False] * self.num_envs
        infos = []
        for i, (env, seed) in enumerate(zip(self._envs, seeds, strict=True)):
            with told(i):
                self._observations[i], info = env.reset(seed=seed)
            infos.append(info)
        return _by_key(infos)

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        if starts:
            return self._step_and_start(actions, starts)
        reward: list[Any] = []
        terminated: list[Any] = []
        truncated: list[Any] = []
        infos: list[Any] = []
        some_info = False
        i = 0
        try:
            for i, env in enumerate(self._envs):
                if self._asleep[i]:
                    self._sleep(reward, terminated, truncated, infos)
                    continue
                self._observations[i], r, te, tr, info = env.step(actions[i])
                reward.append(r)
                terminated.append(te)
                truncated.append(tr)
                infos.append(info)
                some_info = some_info or bool(info)
        except (Exception, SystemExit) as error:  # sys.exit() would end the training without a word
            raise raised(i, error) from error
        return Outcome(reward, terminated, truncated, _by_key(infos) if some_info else {})

    def _step_and_start(self, actions: np.ndarray, starts: Starts) -> Outcome:
        reward: list[float] = []
        terminated: list[bool] = []
        truncated: list[bool] = []
        infos: list[dict[str, Any]] = []
        for i, env in enumerate(self._envs):
            if i in starts:
                self._asleep[i] = starts[i] is None
            with told(i):
                if self._asleep[i]:
                    self._sleep(reward, terminated, truncated, infos)
                    continue
                if i in starts:
                    self._observations[i], info = env.reset(seed=starts[i])
                    r, te, tr = 0.0, False, False
                else:
                    self._observations[i], r, te, tr, info = env.step(actions[i])
            reward.append(float(r))
            terminated.append(te)
            truncated.append(tr)
            infos.append(info)
        return Outcome(reward, terminated, truncated, _by_key(infos))

    def restart(self, starts: Starts) -> Info:
        infos: list[dict[str, Any]] = [{} for _ in self._envs]
        for i, seed in starts.items():
            self._asleep[i] = seed is None
            if seed is not None:
                with told(i):
                    self._observations[i], infos[i] = self._envs[i].reset(seed=seed)
        return _by_key(infos)

    @staticmethod
    def _sleep(reward: list, terminated: list, truncated: list, infos: list) -> None:
        reward.append(0.0)
        terminated.append(False)
        truncated.append(False)
        infos.append({})

    def raw(self, cast: LeafCast) -> np.ndarray:
        if self.num_envs == 1:
            return cast.one(self._observations[0], 0)[None]
        return np.array([cast.one(observation, i) for i, observation in enumerate(self._observations)])

    def render(self) -> list[np.ndarray]:
        return [_picture(env.render()) for env in self._envs]

    def close(self) -> None:
        for env in self._envs:
            env.close()


class Workers(Vector):
    """Environments stepped in worker processes: Gymnasium's AsyncVectorEnv with seeded autoresets."""

    name = "async"

    def __init__(self, makes: Sequence[MakeEnv]) -> None:
        method = "forkserver" if sys.platform == "linux" else "spawn"  # macOS: its BLAS may crash in a forked process
        if method == "forkserver":
            multiprocessing.set_forkserver_preload(["gymnasium", "envs.vector"])
        workers = [_MakeWorker(make, i) for i, make in enumerate(makes)]
        try:
            with _main_hidden():
                self._vec = _QuietAsync(workers, copy=False, context=method, autoreset_mode=AutoresetMode.NEXT_STEP)
        except (EOFError, ConnectionError) as error:
            raise RunError("the environments' worker processes died at their start: choose vector='sync'") from error
        self.num_envs = len(workers)
        self.observation_space = self._vec.single_observation_space
        self.action_space = self._vec.single_action_space
        self._observations: Any = None

    def reset(self, seeds: Sequence[int]) -> Info:
        self._observations, info = self._call(self._vec.reset, seed=list(seeds))
        return _present(info, self.num_envs)

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        if starts:
            self._order(starts)
        self._observations, reward, terminated, truncated, info = self._call(self._vec.step, actions)
        return Outcome(reward, terminated, truncated, _present(info, self.num_envs))

    def restart(self, starts: Starts) -> Info:
        self._order(starts)
        mask = np.array([i in starts for i in range(self.num_envs)])
        self._observations, info = self._call(self._vec.reset, options={"reset_mask": mask})
        return _present(info, self.num_envs)

    def _order(self, starts: Starts) -> None:
        orders = [_SLEEP if starts.get(i, 0) is None else starts.get(i, _GO_ON) for i in range(self.num_envs)]
        self._call(self._vec.set_attr, "order", orders)

    def raw(self, cast: LeafCast) -> np.ndarray:
        return np.asarray(cast.find(self._observations))

    def render(self) -> list[np.ndarray]:
        return [_picture(frame) for frame in self._call(self._vec.call, "render")]

    def close(self) -> None:
        if self._vec.closed:
            return
        try:
            self._vec.close()
        except (EOFError, OSError, AttributeError):  # some workers are gone already
            with suppress(Exception), warnings.catch_warnings(action="ignore"):
                self._vec.close(terminate=True)
            self._vec.closed = True

    @staticmethod
    def _call(function: Callable, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (EOFError, ConnectionError) as error:
            raise RunError(f"a worker process of the environments died ({type(error).__name__})") from error
        except (RunError, InputError):
            raise
        except Exception as error:
            raise RunError(f"a worker process raised {type(error).__name__}: {error}") from error


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keeps new processes from running the user's script again, guarded by `__name__` or not.

    What they need of it, an environment class say, travels by value (cloudpickle).
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__spec__", "__file__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


_GO_ON, _SLEEP = -2, -1


class _MakeWorker:
    """Builds one environment in its worker process, which leaves Ctrl-C to the main process."""

    def __init__(self, make: MakeEnv, index: int) -> None:
        self.make, self.index = make, index

    def __call__(self) -> gymnasium.Env:
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _Ordered(self.make(), self.index)


class _Ordered(gymnasium.Wrapper):
    """Starts an episode from the seed in `order`, whether the vectoriser resets by itself or steps."""

    def __init__(self, env: gymnasium.Env, index: int) -> None:
        super().__init__(env)
        self.order = _GO_ON
        self._index = index
        self._casts: list[LeafCast] = []
        with suppress(InputError):  # spaces that cannot be read are refused by the main process
            casts, mask = observation_casts(env.observation_space, action_cast(env.action_space)[0])
            self._casts = [*casts, mask] if mask else casts
        self._asleep = False
        self._observation: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is None:
            seed, self.order = self.order, _GO_ON
        self._asleep = seed < 0
        if self._asleep:
            return self._observation, {}
        with told(self._index):
            self._observation, info = self.env.reset(seed=seed, options=options)
            self._check()
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self.order != _GO_ON:
            observation, info = self.reset()
            return observation, 0.0, False, False, info
        if self._asleep:
            return self._observation, 0.0, False, False, {}
        with told(self._index):
            self._observation, reward, terminated, truncated, info = self.env.step(action)
            self._check()
        return self._observation, reward, terminated, truncated, info

    def _check(self) -> None:
        """Shared memory would broadcast a wrong shape, and cast a wrong value, without a word."""
        for cast in self._casts:
            value = cast.one(self._observation, self._index)
            if not cast.may_be_non_finite:
                cast(value[None], self._index)


class _QuietAsync(AsyncVectorEnv):
    """Without the traceback that Gymnasium prints for a worker's error: it is raised, in one line, here."""

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        successes = list(successes)
        if not all(successes):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                super()._raise_if_errors(successes)


class Native(Vector):
    """A vector environment of Gymnasium's API, in any autoreset mode, whose resets take `reset_mask` and seeds.

    An environment that starts an episode is stepped with the others and then reset by mask and seed: in NEXT_STEP
    that repeats the autoreset, in SAME_STEP the stray step is thrown away, in DISABLED a reset goes before it.
    Without a working mask, NEXT_STEP's own unseeded autoresets are kept and `seeded` is False; other modes are refused.
    """

    name = "native"
    capped = False

    def __init__(self, vec: VectorEnv, num_envs: int, id: str) -> None:
        if vec.num_envs != num_envs:
            raise InputError(f"{id} gave {vec.num_envs} environments where {num_envs} were asked for")
        self._vec = vec
        self.num_envs = num_envs
        self.observation_space = vec.single_observation_space
        self.action_space = vec.single_action_space
        mode = getattr(vec, "autoreset_mode", None) or (vec.metadata or {}).get("autoreset_mode")
        try:
            self._mode = AutoresetMode(mode)
        except ValueError:
            raise InputError(f"{id} names no autoreset mode Gymnasium knows (got {mode!r}): use NEXT_STEP") from None
        self.has_state = hasattr(vec, "get_state") and hasattr(vec, "set_state")
        self._ended = np.zeros(num_envs, bool)
        self._observations: Any = None
        self._final: dict[int, Any] = {}
        self.seeded = self._resets_by_mask()
        if not self.seeded and self._mode is not AutoresetMode.NEXT_STEP:
            raise InputError(f"{id} resets in mode {self._mode.value} without honouring `reset_mask`: use NEXT_STEP")

    def _resets_by_mask(self) -> bool:
        """Whether a seeded reset by mask gives the seed's episode and leaves the other environments alone."""
        seeds = list(range(self.num_envs))
        try:
            begun = _flat(_copy(self._vec.reset(seed=seeds)[0]))
            stepped = _flat(_copy(self._vec.step(_zero_actions(self._vec))[0]))
            mixed = _flat(_copy(self._reset([True] + [False] * (self.num_envs - 1), seeds)[0]))
            again = _flat(_copy(self._reset([True] * self.num_envs, seeds)[0]))
        except Exception:  # whatever it is that fails, such resets cannot be relied on
            return False
        return all(
            np.array_equal(b, a) and np.array_equal(b[0], m[0]) and np.array_equal(s[1:], m[1:])
            for b, s, m, a in zip(begun, stepped, mixed, again, strict=True)
        )

    def _reset(self, mask: Any, seeds: Sequence[int | None]) -> tuple[Any, dict[str, Any]]:
        return self._vec.reset(seed=list(seeds), options={"reset_mask": np.array(mask, dtype=bool)})

    def reset(self, seeds: Sequence[int]) -> Info:
        self._ended[:] = False
        self._final.clear()
        self._observations, info = self._vec.reset(seed=list(seeds) if self.seeded else int(seeds[0]))
        return _present(info, self.num_envs)

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        awake = {i: seed for i, seed in starts.items() if seed is not None}
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            self._reset(self._ended, [0] * self.num_envs)
        self._observations, reward, terminated, truncated, info = self._vec.step(actions)
        reward, terminated, truncated = np.array(reward), np.array(terminated), np.array(truncated)
        self._ended = terminated | truncated
        self._final.clear()
        if self._mode is AutoresetMode.SAME_STEP and self._ended.any():
            final = info.get("final_obs", info.get("final_observation"))
            for i in np.flatnonzero(self._ended):
                self._final[int(i)] = _one(final, int(i))
        info = _present(info, self.num_envs)
        if awake and self.seeded:
            _merge(info, self._restart(awake), list(awake))
        return Outcome(reward, terminated, truncated, info)

    def restart(self, starts: Starts) -> Info:
        if not self.seeded:
            raise RunError("its vector environment resets by itself alone: set vector='sync'")
        awake = {i: seed for i, seed in starts.items() if seed is not None}
        return _present(self._restart(awake), self.num_envs) if awake else {}

    def _restart(self, awake: Starts) -> Mapping[str, Any]:
        mask = np.zeros(self.num_envs, bool)
        mask[list(awake)] = True
        seeds: list[int | None] = [None] * self.num_envs
        for i, seed in awake.items():
            seeds[i] = seed
            self._final.pop(i, None)
        self._ended[mask] = False
        self._observations, info = self._reset(mask, seeds)
        return info

    def raw(self, cast: LeafCast) -> np.ndarray:
        values = np.asarray(cast.find(self._observations))
        if self._final:
            values = values.copy()
            for i, final in self._final.items():
                values[i] = cast.find(final)
        return values

    def get_state(self) -> dict[str, Any]:
        return self._vec.get_state()  # type: ignore[attr-defined]

    def set_state(self, state: dict[str, Any]) -> None:
        self._observations = self._vec.set_state(state)  # type: ignore[attr-defined]

    def render(self) -> list[np.ndarray]:
        return [_picture(frame) for frame in self._vec.render() or [None]]

    def glide(self, part: float) -> list[np.ndarray] | None:
        glides = getattr(self._vec, "glide", None)
        return None if glides is None else list(glides(part))

    def close(self) -> None:
        self._vec.close()


OF_NOW = (
    " (Gymnasium's reset(seed=..., options=...) returns observation and info; step(action) returns observation, "
    "reward, terminated, truncated and info)"
)
"""What an environment of the old Gym API is to be changed to."""


class told:
    """Turns an error inside environment `index` into one line that names it."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception | SystemExit):
            raise raised(self.index, error) from error


def raised(index: int, error: Exception | SystemExit) -> RunError:
    """The one line for an error inside environment `index`."""
    if isinstance(error, RunError):
        return error
    said = str(error)
    old = "values to unpack (expected 2" in said or "values to unpack (expected 5" in said or "'seed'" in said
    hint = OF_NOW if old and isinstance(error, ValueError | TypeError) else ""
    return RunError(f"environment {index} raised {type(error).__name__}: {error}{hint}")


def _by_key(infos: Sequence[Mapping[str, Any]]) -> Info:
    """One list for each key, None where an environment's info lacks it."""
    keys = {key: None for info in infos for key in info}
    return {key: [info.get(key) for info in infos] for key in keys}


def _present(info: Mapping[str, Any], num_envs: int) -> Info:
    """Gymnasium's batched info, whose `_key` entries say where `key` was given, as one list for each key."""
    found: Info = {}
    for key, values in info.items():
        if key.startswith(("_", "final_")):
            continue
        given = info.get(f"_{key}")
        if isinstance(values, Mapping):  # a nested info is for logging only: left as it is
            found[key] = [values] * num_envs
        else:
            if given is None or bool(np.all(given)):
                found[key] = values
            else:
                found[key] = [v if g else None for v, g in zip(values, given, strict=True)]
    return found


def _merge(info: Info, reset_info: Mapping[str, Any], restarted: list[int]) -> None:
    """Puts what the restarted environments gave in the place of what they had ended with."""
    for key, values in reset_info.items():
        if key.startswith("_") or isinstance(values, Mapping):
            continue
        known = info.get(key)
        if isinstance(known, np.ndarray) and isinstance(values, np.ndarray):
            info[key] = known = known.copy()
            known[restarted] = values[restarted]
        else:
            row = [None] * len(values) if known is None else list(known)
            for i in restarted:
                row[i] = values[i]
            info[key] = row


def _picture(frame: Any) -> np.ndarray:
    """What an environment drew as uint8 [H, W, 3]: grey ones, an alpha channel and floats from 0 to 1 are taken."""
    if frame is None:
        raise InputError("this environment gives no picture: it has no render_mode 'rgb_array'")
    picture = frame if isinstance(frame, np.ndarray) else np.asarray(frame)
    if picture.dtype != np.uint8:
        if picture.dtype.kind not in "fiub":
            raise InputError(f"this environment's render gives {type(frame).__name__}, not a picture of numbers")
        if picture.dtype.kind in "fb" and picture.size and np.max(picture) <= 1:
            picture = picture * 255.0
        picture = np.rint(np.nan_to_num(picture).clip(0, 255)).astype(np.uint8)
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, -1)
    if picture.ndim == 3 and picture.shape[-1] in (1, 3, 4):
        return np.repeat(picture, 3, -1) if picture.shape[-1] == 1 else picture[..., :3]
    raise InputError(f"this environment's render gives the shape {picture.shape}, not a picture [H, W, 3]")


def _zero_actions(vec: VectorEnv) -> Any:
    return gymnasium.vector.utils.create_empty_array(vec.single_action_space, vec.num_envs, fn=np.zeros)


def _flat(observations: Any) -> list[np.ndarray]:
    if isinstance(observations, Mapping):
        return [leaf for value in observations.values() for leaf in _flat(value)]
    if isinstance(observations, tuple):
        return [leaf for value in observations for leaf in _flat(value)]
    return [np.asarray(observations)]


def _copy(observations: Any) -> Any:
    if isinstance(observations, Mapping):
        return {key: _copy(value) for key, value in observations.items()}
    if isinstance(observations, tuple):
        return tuple(_copy(value) for value in observations)
    return np.array(observations)


def _one(observations: Any, index: int) -> Any:
    """Environment `index` of batched observations, nested or not, or of an object array of single ones."""
    if isinstance(observations, Mapping):
        return {key: _one(value, index) for key, value in observations.items()}
    if isinstance(observations, tuple):
        return tuple(_one(value, index) for value in observations)
    return observations[index]
