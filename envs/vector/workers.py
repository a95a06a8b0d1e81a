"""Environments in worker processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from envs.spaces import LeafCast, action_cast, observation_casts
from envs.vector.base import Info, MakeEnv, Outcome, Starts, Vector, _picture, told
from envs.vector.infos import _present
from rl.errors import InputError, RunError


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
