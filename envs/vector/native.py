"""A vector environment of Gymnasium's own kind, adapted to the `Vector` interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from envs.spaces import LeafCast, action_cast, mask_of, random_actions
from envs.vector.base import Info, Outcome, Starts, Vector, picture
from envs.vector.infos import merge, present
from rl.errors import InputError, RunError

PROBES = 50
"""Steps within which a vector environment must show that it honours `reset_mask`."""


class Native(Vector):
    """A vector environment of Gymnasium's API, in any autoreset mode, whose resets take `reset_mask` and seeds.

    An environment that starts an episode is stepped with the others and then reset by mask and seed: in NEXT_STEP
    that repeats the autoreset, in SAME_STEP the stray step is thrown away, in DISABLED a reset goes before it.
    If `reset_mask` is ignored, NEXT_STEP keeps its own unseeded autoresets and `seeded` is False; the other modes are
    refused.
    """

    name = "native"
    capped = False

    def __init__(self, vec: VectorEnv, num_envs: int, id: str, reset_options: Mapping[str, Any] | None = None) -> None:
        if vec.num_envs != num_envs:
            raise InputError(f"{id} gave {vec.num_envs} environments where {num_envs} were asked for")
        self._vec = vec
        self._options = dict(reset_options or {})
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
        """Whether a seeded reset by mask gives the seed's episode and leaves the other environments as they are.

        Random allowed actions move the environments until one outside the mask shows another observation than after
        its reset: only then would a reset of all environments be noticed. False if this does not happen.
        """
        seeds = list(range(self.num_envs))
        mask = [True] + [False] * (self.num_envs - 1)
        try:
            begun = _flat(_copy(self._reset_all(seeds)[0]))
            stepped = self._moved(begun, seeds)
            if stepped is None:
                return False
            mixed = _flat(_copy(self._reset(mask, seeds)[0]))
            again = _flat(_copy(self._reset([True] * self.num_envs, seeds)[0]))
        except Exception:  # resets by mask that fail are not used
            return False
        return all(
            np.array_equal(b, a) and np.array_equal(b[0], m[0]) and np.array_equal(s[1:], m[1:])
            for b, s, m, a in zip(begun, stepped, mixed, again, strict=True)
        )

    def _moved(self, begun: list[np.ndarray], seeds: list[int]) -> list[np.ndarray] | None:
        """The observations once an environment other than the first differs from `begun`, in its first episode.

        None if that does not happen within `PROBES` steps from the reset with `seeds`.
        """
        info = self._reset_all(seeds)[1]
        spec, to_env = action_cast(self.action_space)
        rng = np.random.default_rng(0)
        for _ in range(PROBES):
            mask = mask_of(info)
            observations, _, terminated, truncated, info = self._vec.step(
                to_env(random_actions(spec, self.num_envs, mask, rng))
            )
            if np.any(terminated) or np.any(truncated):
                return None
            stepped = _flat(_copy(observations))
            if self.num_envs == 1 or any(not np.array_equal(b[1:], s[1:]) for b, s in zip(begun, stepped, strict=True)):
                return stepped
        return None

    def _reset_all(self, seed: list[int] | int) -> tuple[Any, dict[str, Any]]:
        return self._vec.reset(seed=seed, **({"options": self._options} if self._options else {}))

    def _reset(self, mask: Any, seeds: Sequence[int | None]) -> tuple[Any, dict[str, Any]]:
        return self._vec.reset(seed=list(seeds), options={**self._options, "reset_mask": np.array(mask, dtype=bool)})

    def reset(self, seeds: Sequence[int]) -> Info:
        self._ended[:] = False
        self._final.clear()
        self._observations, info = self._reset_all(list(seeds) if self.seeded else int(seeds[0]))
        return present(info, self.num_envs)

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
        info = present(info, self.num_envs)
        if awake and self.seeded:
            merge(info, self._restart(awake), list(awake))
        return Outcome(reward, terminated, truncated, info)

    def restart(self, starts: Starts) -> Info:
        if not self.seeded:
            raise RunError("its vector environment only resets by itself: set vector='sync'")
        awake = {i: seed for i, seed in starts.items() if seed is not None}
        return present(self._restart(awake), self.num_envs) if awake else {}

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

    def set_state(self, state: dict[str, Any], ended: np.ndarray) -> None:
        self._ended = ended.copy()
        self._final.clear()
        self._observations = self._vec.set_state(state)  # type: ignore[attr-defined]

    def face(self, opponent: Any) -> None:
        if not hasattr(self._vec, "face"):
            super().face(opponent)
        self._vec.face(opponent)  # type: ignore[attr-defined]

    def environments(self) -> VectorEnv:
        return self._vec

    def render(self) -> list[np.ndarray]:
        return [picture(frame) for frame in self._vec.render() or [None]]

    def glide(self, part: float) -> list[np.ndarray] | None:
        glides = getattr(self._vec, "glide", None)
        return None if glides is None else list(glides(part))

    def close(self) -> None:
        self._vec.close()


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
