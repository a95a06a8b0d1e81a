"""`predict`, as Stable-Baselines3 defines it: observations of any layout in, actions of the environment's space out."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from rl.errors import InputError
from rl.interface import EnvSpec, Obs, ObsLeaf, TimeStep


class Predicts:
    """Gives an agent the method `predict`."""

    spec: EnvSpec
    seed: int
    _episodes_predicted = 0
    """Episodes that `predict` has begun: each draws its own random numbers."""

    @abstractmethod
    def actor(self, num_envs: int, seed: int, *, stream: str = "evaluate", sample: bool = False) -> Any: ...

    @property
    @abstractmethod
    def stack(self) -> int: ...

    @property
    def state_size(self) -> int:
        """Length of the recurrent state of one environment; 0 without a recurrent core."""
        return 0

    def predict(
        self,
        obs: Any,
        state: dict[str, Any] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict[str, Any] | None]:
        """Stable-Baselines3's `predict`.

        Args:
            obs: one observation of the environment, or a batch of N.
            state: the state that the previous call returned; None begins a new episode.
            episode_start: bool [N], or one bool for all: which observations begin an episode.
            deterministic: take the best action instead of drawing one.
            action_masks: bool [A] or [N, A], the allowed actions; an "action_mask" in the observation takes precedence.
                Without a mask, every action is allowed.

        Returns:
            The action, an element of the environment's action space (a batch: [N, *space.shape], of the space's dtype),
            and the state for the next call: frame stack, recurrent state and generators. The state is None if the
            agent has neither a frame stack nor a recurrent core.

        Raises:
            InputError: a leaf of the observation is missing, has another shape, is not finite or holds a number outside
                its space; or `action_masks` does not fit the environment.
        """
        leaves, single = self._leaves(obs)
        count = len(next(iter(leaves.values())))
        actor = self.actor(count, self.seed, stream=f"predict {self._episodes_predicted}", sample=not deterministic)
        if state is None:
            self._episodes_predicted += 1
        else:
            actor.load_state_dict(state)
        start = np.full(count, state is None) if episode_start is None else np.broadcast_to(episode_start, (count,))
        row = first_row(self.spec, leaves, np.asarray(start, bool))
        action = self.spec.action.to_space(actor.act(row._replace(mask=self._mask(obs, action_masks, count))))
        if single:
            action = np.asarray(action[0]) if self.spec.action.kind == "box" else action[0]
        return action, actor.state_dict() if self.stack > 1 or self.state_size else None

    def _mask(self, obs: Any, action_masks: np.ndarray | None, count: int) -> np.ndarray | None:
        """The mask [N, A] of `predict`'s arguments, or None. Raises `InputError` if it does not fit."""
        logits = self.spec.action.logits
        if not self.spec.masked:
            if action_masks is None:
                return None
            raise InputError(
                "predict: action_masks were given, but the environment of this agent has none: leave them out"
            )
        mask = obs.get("action_mask", action_masks) if isinstance(obs, dict) else action_masks
        if mask is None:
            return None
        mask = np.asarray(mask, bool)
        if mask.size != count * logits:
            raise InputError(f"predict: an action mask has {logits} entries per observation, got shape {mask.shape}")
        mask = mask.reshape(count, logits)
        if not mask.any(1).all():
            raise InputError("predict: an action mask allows no action")
        return mask

    def _leaves(self, obs: Any) -> tuple[Obs, bool]:
        """The leaves [N, *leaf.shape] of a Gymnasium observation, and whether it is a single one."""
        plain = list(self.spec.obs) == ["obs"]
        row = plain and isinstance(obs, dict)  # a row's leaves already have the shapes that are stored
        given = {"obs": obs} if plain and not row else obs
        raw = {name: _find(given, name) for name in self.spec.obs}
        counts = {name: _counts(leaf, name, raw[name], row) for name, leaf in self.spec.obs.items()}
        shared = [n for n in next(iter(counts.values())) if all(n in possible for possible in counts.values())]
        if not shared:
            shapes = ", ".join(f"{name!r} {array.shape}" for name, array in raw.items())
            raise InputError(f"predict: the leaves have different batch sizes: {shapes}")
        return {name: _column(leaf, name, raw[name]) for name, leaf in self.spec.obs.items()}, shared[0] is None


def _find(observation: Any, name: str) -> np.ndarray:
    """The leaf "arm.joints" or "0" of a Dict or Tuple observation. Raises `InputError` if it is missing."""
    found = _walk(observation, name)
    if found is None:
        raise InputError(f"predict: the observation has no leaf {name!r}")
    return np.asarray(found)


def _walk(part: Any, name: str) -> Any:
    if isinstance(part, dict):
        inner = ((key, part[key]) for key in part)
    elif isinstance(part, tuple | list):
        inner = ((str(key), value) for key, value in enumerate(part))
    else:
        return None
    for key, value in inner:
        if name == key:
            return value
        if name.startswith(f"{key}.") and (found := _walk(value, name[len(key) + 1 :])) is not None:
            return found
    return None


def _counts(leaf: ObsLeaf, name: str, raw: np.ndarray, row: bool) -> list[int | None]:
    """The batch sizes that a leaf's array may have, likeliest first; None stands for a single observation.

    Raises `InputError` if there is none.
    """
    shapes = [leaf.shape if leaf.given is None else leaf.given, leaf.shape][:: -1 if row else 1]
    possible = [None if raw.shape == shape else len(raw) for shape in shapes if shape in (raw.shape, raw.shape[1:])]
    if raw.ndim == 0 and math.prod(leaf.shape) == 1:  # a plain number
        possible.append(None)
    if not possible:
        raise InputError(f"predict: leaf {name!r} is {shapes[0]} or a batch of that shape, got {raw.shape}")
    return possible


def _column(leaf: ObsLeaf, name: str, raw: np.ndarray) -> np.ndarray:
    """The stored form [N, *leaf.shape] of an environment's array. Raises `InputError` for values it cannot hold."""
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise InputError(f"predict: leaf {name!r} of the observation is not finite")
    column, fits = leaf.column(raw)
    if fits is not None and not fits.all():
        raise InputError(f"predict: leaf {name!r} of the observation holds a number outside its space")
    return column


def first_row(spec: EnvSpec, obs: Obs, first: np.ndarray) -> TimeStep:
    """A row with an observation and nothing else."""
    count = len(first)
    zeros = np.zeros(count, np.float32)
    return TimeStep(
        obs=obs,
        mask=None,
        action=np.zeros((count, *spec.action.shape), spec.action.dtype),
        reward=zeros,
        discount=zeros,
        first=first,
        last=np.zeros(count, bool),
        info={},
    )
