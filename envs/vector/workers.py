"""Environments in worker processes."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from envs.spaces import LeafCast
from envs.vector.base import Info, MakeEnv, Outcome, Starts, Vector, picture
from envs.vector.infos import present
from envs.vector.serial import require_spaces
from envs.vector.single import Single
from rl.errors import InputError, RunError

CALL_LIMIT = 600.0
"""Seconds that one reset, step or render of all environments may take."""
CLOSE_LIMIT = 5.0
"""Seconds that the workers have to close their environments; after a failure they have a tenth of it."""


class Workers(Vector):
    """Environments stepped in worker processes: Gymnasium's AsyncVectorEnv with seeded autoresets."""

    name = "async"

    def __init__(
        self, makes: Sequence[MakeEnv], life_loss: bool = False, reset_options: Mapping[str, Any] | None = None
    ) -> None:
        method = "forkserver" if sys.platform == "linux" else "spawn"  # macOS: its BLAS may crash in a forked process
        if method == "forkserver":
            multiprocessing.set_forkserver_preload(["gymnasium", "envs.vector"])
        workers = [partial(_ordered, make, i, life_loss, reset_options) for i, make in enumerate(makes)]
        try:
            with _main_hidden():
                self._vec = _LimitedAsync(workers, copy=False, context=method, autoreset_mode=AutoresetMode.NEXT_STEP)
        except (EOFError, ConnectionError) as error:
            raise RunError("the environments' worker processes died at their start: choose vector='sync'") from error
        self.num_envs = len(workers)
        self.observation_space = self._vec.single_observation_space
        self.action_space = self._vec.single_action_space
        self._observations: Any = None

    def reset(self, seeds: Sequence[int]) -> Info:
        self._observations, info = self._call("reset", self._vec.reset, seed=list(seeds))
        return present(info, self.num_envs)

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        if starts:
            self._order(starts)
        self._observations, reward, terminated, truncated, info = self._call("step", self._vec.step, actions)
        return Outcome(reward, terminated, truncated, present(info, self.num_envs))

    def restart(self, starts: Starts) -> Info:
        self._order(starts)
        mask = np.array([i in starts for i in range(self.num_envs)])
        self._observations, info = self._call("reset", self._vec.reset, options={"reset_mask": mask})
        return present(info, self.num_envs)

    def _order(self, starts: Starts) -> None:
        orders = [_SLEEP if starts.get(i, 0) is None else starts.get(i, _GO_ON) for i in range(self.num_envs)]
        self._call("start", self._vec.call, "take_order", orders)

    def raw(self, cast: LeafCast) -> np.ndarray:
        return np.asarray(cast.find(self._observations))

    def render(self) -> list[np.ndarray]:
        return [picture(frame) for frame in self._call("render", self._vec.call, "render")]

    def close(self) -> None:
        self._vec.close()

    def _call(self, name: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Calls the vector environment. Every failure becomes a `RunError` of one line; none waits without a limit."""
        self._vec.failed = True
        try:
            result = function(*args, **kwargs)
        except (EOFError, ConnectionError) as error:
            dead = [i for i, process in enumerate(self._vec.processes) if not process.is_alive()]
            who = f" of environment {dead[0]}" if dead else " of the environments"
            raise RunError(f"a worker process{who} died in {name}() ({type(error).__name__})") from error
        except multiprocessing.TimeoutError as error:
            raise RunError(f"{error} in {name}()") from None
        except (RunError, InputError):
            raise
        except Exception as error:
            raise RunError(f"a worker process raised {type(error).__name__} in {name}(): {error}") from error
        self._vec.failed = False
        return result


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keeps new processes from running the user's script again, guarded by `__name__` or not.

    What the workers need from the script, such as an environment class, travels by value (cloudpickle).
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__spec__", "__file__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


_GO_ON, _SLEEP = -2, -1


def _ordered(make: MakeEnv, *args: Any) -> gymnasium.Env:
    """Builds an `_Ordered` environment in its worker process, which leaves Ctrl-C and the like to the main process.

    A closed terminal (SIGHUP) and Ctrl-Break (SIGBREAK on Windows) reach every process of the group.
    """
    if multiprocessing.parent_process() is not None:
        for name in ("SIGINT", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
    return _Ordered(make(), *args)


class _Ordered(gymnasium.Wrapper):
    """Starts an episode from the seed in its order, whether the vectoriser resets by itself or steps."""

    def __init__(
        self, env: gymnasium.Env, index: int, life_loss: bool, reset_options: Mapping[str, Any] | None
    ) -> None:
        super().__init__(env)
        self._single = Single(env, index, life_loss, reset_options)
        self._order = _GO_ON
        self._asleep = False
        self._observation: Any = None

    def take_order(self, orders: Sequence[int]) -> None:
        """What the next step does, of all environments: a seed to start from, `_SLEEP` or `_GO_ON`."""
        self._order = orders[self._single.index]

    def spaces(self) -> tuple[gymnasium.Space, gymnasium.Space]:
        """The observation space and the action space."""
        return self.env.observation_space, self.env.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is None:
            seed, self._order = self._order, _GO_ON
        self._asleep = seed < 0
        if self._asleep:
            return self._observation, {}
        self._observation, info = self._single.reset(seed)
        self._single.check(self._observation)
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._order != _GO_ON:
            observation, info = self.reset()
            return observation, 0.0, False, False, info
        if self._asleep:
            return self._observation, 0.0, False, False, {}
        self._observation, reward, terminated, truncated, info = self._single.step(action)
        self._single.check(self._observation)
        return self._observation, reward, terminated, truncated, info

    def render(self) -> Any:
        return self._single.render()

    def close(self) -> None:
        self._single.close()


class _LimitedAsync(AsyncVectorEnv):
    """Gymnasium's AsyncVectorEnv with a limit on every wait, and with errors in one line instead of a traceback."""

    failed = False
    """Whether a call is under way or has failed: its workers may not answer."""

    def _poll_pipe_envs(self, timeout: float | None = None) -> bool:
        limit = CALL_LIMIT if timeout is None else timeout
        end = time.monotonic() + limit
        for i, pipe in enumerate(self.parent_pipes):
            if pipe is None or not pipe.poll(max(0.0, end - time.monotonic())):
                raise multiprocessing.TimeoutError(f"environment {i} did not answer within {limit:g} s")
        return True

    def _check_spaces(self) -> None:
        first = SimpleNamespace(observation_space=self.single_observation_space, action_space=self.single_action_space)
        try:
            for i, (observation, action) in enumerate(self.call("spaces")):
                require_spaces(i, observation, action, first)
        except BaseException:
            self.close()
            raise

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        if all(successes):
            return
        try:
            _, kind, words, _ = self.error_queue.get(timeout=CLOSE_LIMIT)
        except queue.Empty:
            raise RunError("a worker process failed without an error message") from None
        raise kind(words) if issubclass(kind, RunError | InputError) else RunError(f"{kind.__name__}: {words}")

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """Asks the workers to close their environments; those that do not end within the limit are terminated."""
        for pipe in self.parent_pipes:
            with suppress(OSError, AttributeError):  # a worker that is gone already
                pipe.send(("close", None))
        end = time.monotonic() + (CLOSE_LIMIT / 10 if self.failed or terminate else CLOSE_LIMIT)
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        for stop in ("terminate", "kill"):
            for process in self.processes:
                if process.is_alive():
                    getattr(process, stop)()
            for process in self.processes:
                process.join(1.0)
        for pipe in self.parent_pipes:
            pipe.close()
        self.error_queue.cancel_join_thread()
        self.error_queue.close()
