"""Our rows as a Stable-Baselines3 VecEnv, so that a comparison compares agents and nothing else.

SB3 gets the rows that our agents get: the same episodes from the same seeds, single frames stacked by the same rule,
rewards clipped for the learner only, and a lost life as `done` without a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from rl.errors import InputError
from rl.interface import EnvSpec, TimeStep
from runs.comparing.peers.peer import is_image


class FrameStack:
    """The newest `stack` frames of each environment. The first frame of an episode is repeated to fill the stack.

    Unlike `rl.frame_stack.FrameStack`, it can replace the frames of the environments that have just been restarted.
    """

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self._frames: dict[str, np.ndarray] = {}

    def push(
        self, obs: Mapping[str, np.ndarray], first: np.ndarray, only: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Adds a row [N, ...] and returns the stacks by leaf, [N, S, ...], which the next `push` overwrites.

        With `only`, bool [N], the row replaces the frames of these environments, and the others keep theirs.
        """
        for name, leaf in obs.items():
            if name not in self._frames:
                self._frames[name] = np.repeat(leaf[:, None], self.stack, axis=1)
                continue
            frames = self._frames[name]
            if only is None:
                frames[:, :-1] = frames[:, 1:]
                frames[:, -1] = leaf
            restarted = first if only is None else only
            frames[restarted] = leaf[restarted][:, None]
        return self._frames


class Reader:
    """Converts our observation leaves to SB3's: the space, and arrays [N, ...] in it.

    Images are channels first, with the stacked frames as channels. Images that SB3's CNN cannot read, and boards, are
    flattened to vectors.
    """

    def __init__(self, spec: EnvSpec, stack: int) -> None:
        self.spec, self.stack = spec, stack
        found = {name: self._space(name) for name in spec.obs}
        self.single = len(found) == 1
        name, leaf = next(iter(spec.obs.items()))
        plain = self.single and leaf.kind == "vector" and leaf.dtype == "float32" and len(leaf.shape) == 1
        self._plain = name if plain else None
        self.space = next(iter(found.values())) if self.single else spaces.Dict(found)

    def _space(self, name: str) -> Any:
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
        """SB3's observation of stacks [N, S, ...], as a new array."""
        out = {name: self._leaf(name, stacks[name]) for name in self.spec.obs}
        return next(iter(out.values())) if self.single else out

    def single_frames(self, obs: Mapping[str, np.ndarray]) -> Any:
        """SB3's observation of single frames [N, ...], as a new array."""
        if self._plain is not None:  # a single float32 vector, the usual case: 4 times faster than the general code
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
    """SB3's space of our actions."""
    a = spec.action
    if a.kind == "discrete":
        return spaces.Discrete(a.nvec[0])
    if a.kind == "multidiscrete":
        return spaces.MultiDiscrete(a.nvec)
    if a.kind == "multibinary":
        return spaces.MultiBinary(a.size)
    return spaces.Box(np.array(a.low, np.float32), np.array(a.high, np.float32), dtype=np.float32)


class RowEnv(VecEnv):  # type: ignore[misc]
    """Our stream of rows as SB3's VecEnv. Each step is a transition: `first` rows take no step of their own."""

    def __init__(self, stream: Any, stack: int = 1, reward_clip: float | None = None) -> None:
        self.stream, self.reward_clip = stream, reward_clip
        self.render_mode = None
        self.reader = Reader(stream.spec, stack)
        self.frames = FrameStack(stack)
        self._shape = (stream.num_envs, *stream.spec.action.shape)
        self.row: TimeStep | None = None
        """The newest row, before ended environments were restarted."""
        self.masks: np.ndarray | None = None
        """Allowed actions for the newest observation, bool [N, A]; None if the environment has no masks."""
        super().__init__(stream.num_envs, self.reader.space, action_space(stream.spec))

    def reset(self) -> Any:
        ts = self.stream.reset()
        self.frames = FrameStack(self.frames.stack)
        return self._observe(ts)

    def _observe(self, ts: TimeStep, only: np.ndarray | None = None) -> Any:
        self.masks = ts.mask
        if self.frames.stack == 1:
            return self.reader.single_frames(ts.obs)
        return self.reader(self.frames.push(ts.obs, ts.first, only))

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions if actions.shape == self._shape else np.asarray(actions).reshape(self._shape)

    def step_wait(self) -> Any:
        self.row = ts = self.stream.step(self._actions)
        obs = self._observe(ts)
        died = ts.discount == 0
        done = ts.last | died
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            for i in np.flatnonzero(done):
                final = obs[i] if self.reader.single else {k: v[i] for k, v in obs.items()}
                infos[i] = {"terminal_observation": final, "TimeLimit.truncated": bool(ts.last[i] and not died[i])}
            if ts.last.any():
                obs = self._observe(self.stream.start_ended(), only=ts.last)
        reward = ts.reward if self.reward_clip is None else np.clip(ts.reward, -self.reward_clip, self.reward_clip)
        return obs, reward, done, infos

    def close(self) -> None:
        self.stream.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        # MaskablePPO only asks whether there is an `action_masks`
        if attr_name == "render_mode" or (attr_name == "action_masks" and self.masks is not None):
            return [None] * len(list(self._get_indices(indices)))
        raise AttributeError(f"RowEnv has no {attr_name!r} in its environments")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"RowEnv has no {attr_name!r} in its environments")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        if method_name == "action_masks" and self.masks is not None:
            return [self.masks[i] for i in self._get_indices(indices)]
        raise AttributeError(f"RowEnv has no {method_name!r} in its environments")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
