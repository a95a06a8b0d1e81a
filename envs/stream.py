"""N environments as one stream of rows: the `Env` of `rl.interface`, for every kind of `Vector`.

This file holds the row rules of docs/architecture.md: actions, leaves, discount, `first` and `last`, masks, checks, the
seeds of episodes, the list of games of an evaluation, and exact resume.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.spaces import LeafCast, flat_mask, mask_of
from envs.vector.base import Info, Outcome, Starts, Vector
from rl.errors import InputError, NonFiniteError, RunError
from rl.interface import EnvSpec, TimeStep
from rl.seeding import derive_seed, generator, generator_state, restore_generator

log = logging.getLogger(__name__)

NO_STARTS: Starts = {}

HISTORY = 500_000
"""Number of slots whose actions are kept for replay. A longer episode is resumed as a truncation."""

CHECKED = 100
"""Observations are compared with their bounds in the first `CHECKED` slots and in every `CHECKED`th after them."""


class Stream:
    """Rows of N environments. The first reset has happened when this is built; `reset` returns its row.

    resume_level: "exact", or "episode" if an environment could not be restored to its exact state.
    """

    def __init__(
        self,
        vector: Vector,
        spec: EnvSpec,
        casts: Sequence[LeafCast],
        mask_cast: LeafCast | None,
        to_env: Any,
        *,
        seed: int,
        stream: str,
        games: int | None = None,
        first: int = 0,
        cap: int | None = None,
        life_loss: bool = False,
        flicker: float = 0.0,
        pictures: bool = False,
        info: dict[str, Any],
    ) -> None:
        """info: of the first reset of `vector`, with `first_seeds`."""
        self.spec = spec
        self.num_envs = n = vector.num_envs
        self.resume_level = "exact" if vector.seeded else "episode"
        self._vector, self._casts, self._mask_cast, self._to_env = vector, list(casts), mask_cast, to_env
        self._seed, self._stream, self._games, self._first = seed, stream, games, first
        self._cap, self._life_loss, self._flicker, self._pictures = cap, life_loss, flicker, pictures
        self._action_shape = (n, *spec.action.shape)
        self._action_dtype = np.dtype(spec.action.dtype)
        self._bounded = [cast for cast in self._casts if cast.bounds is not None and stream == "train"]
        """Leaves whose values have been within their bounds so far."""
        self._copied = spec.simulator if hasattr(spec.simulator, "read") else None
        """Reads states off the environments; None if observations show them, or if there is no simulator."""
        self._no = np.zeros(n, bool)
        self._ones = np.ones(n, np.float32)
        self._episode = [0] * n if games is None else first_games(n, games, first)
        """Number k of each environment's episode, or j of its game in an evaluation; -1 if it is idle."""
        self._next_game = first + n
        self._seeds = np.array(first_seeds(n, seed, stream, games, first))
        self._lives = np.zeros(n, np.int64)
        self._tiny: dict[int, np.ndarray] = {}
        self._slot = 0
        """Steps taken since the last reset of all."""
        self._born = np.zeros(n, np.int64)
        """The slot of each environment's first action in this episode: `_slot - _born` is the episode's length."""
        self._history: list[np.ndarray] = []
        """Actions [N, ...] of the newest slots, as far back as an exact resume needs them."""
        self._flickers: list[np.random.Generator] = []
        self._info: dict[str, Any] = {}
        self._ended = False
        """Whether the newest row is `last` for some environment."""
        self._fresh = True
        self._lost = self._no
        """After a load, the environments whose state could not be restored: they restart at the next step."""
        self._reset_info: Info | None = None
        """Infos of the reset that the next step reports, if the vector environment could only be reset as a whole."""
        self._row = self._begin(info)

    def reset(self, episode: int | None = None) -> TimeStep:
        """Row 0 of the next episode, or of `episode`, in every environment (of the first games of an evaluation)."""
        if self._fresh and not episode:
            self._fresh = False
            return self._row
        n = self.num_envs
        if self._games is None:
            self._episode = [k + 1 if episode is None else episode for k in self._episode]
        else:
            self._episode = first_games(n, self._games, self._first)
            self._next_game = self._first + n
        seeds = [self._seed_of(i, max(k, 0)) for i, k in enumerate(self._episode)]
        self._seeds = np.array(seeds)
        return self._begin(self._vector.reset(seeds))

    def _begin(self, info: dict[str, Any]) -> TimeStep:
        n = self.num_envs
        self._slot, self._history, self._ended = 0, [], False
        self._born = np.zeros(n, np.int64)
        self._lost, self._reset_info = self._no, None
        self._flickers = [self._flicker_of(i) for i in range(n)] if self._flicker else []
        self._lives = self._lives_of(info)
        self._note(info)
        zero = np.zeros(n, np.float32)
        action = np.zeros(self._action_shape, self._action_dtype)
        obs, mask = self._observe(info, self._no)
        self._row = TimeStep(obs, mask, action, zero, zero.copy(), ~self._no, self._no.copy(), self._info)
        self._prepared = False
        return self._row

    def step(self, action: np.ndarray) -> TimeStep:
        """The next row. If the row before was `last`, the action is ignored and the row is `first`.

        Raises `NonFiniteError` for a NaN or infinity from the environment or the agent, `RunError` if the environment
        fails. A step that fails leaves the stream as it was before it.
        """
        action = np.array(action, dtype=self._action_dtype)
        if action.shape != self._action_shape:
            raise RunError(f"{self.spec.id} takes actions of shape {self._action_shape}, got {action.shape}")
        if self._action_dtype.kind == "f":
            self._require_finite("the action for", action)
        before, length = dict(self.__dict__), len(self._history)
        flickers = copy.deepcopy(self._flickers) if self._flicker else self._flickers
        try:
            self._row = self._advance(action)
        except BaseException as error:  # a failed step leaves the stream at the row before it, ready to be saved
            del self._history[length:]
            self.__dict__.update(before)
            self._flickers = flickers
            if isinstance(error, RunError):
                raise RunError(f"{self.spec.id}: {error}") from error
            raise
        if self._bounded and (self._slot < CHECKED or self._slot % CHECKED == 0):
            self._check_bounds()
        if not self._vector.has_state:
            self._remember(action)
        if self._vector.prepares and (not self._prepared or self._row.first.any()):
            self._prepare()
        return self._row

    def _check_bounds(self) -> None:
        """One line for each leaf that leaves its bounds; its values are used as they are."""
        for cast in list(self._bounded):
            if words := cast.outside(self._row.obs[cast.name]):
                self._bounded.remove(cast)
                log.warning("%s: %s; such values are used as they are", self.spec.id, words)

    def _advance(self, action: np.ndarray) -> TimeStep:
        """The row after `action`, whose entries are set to 0 for the environments that start an episode.

        Rebinds attributes instead of changing arrays and lists in place, so that `step` can undo it.
        """
        starts = self._starts() if self._ended else NO_STARTS
        given, terminated, truncated, info = self._outcome(self._to_env(action), starts)
        self._fresh = False
        self._slot += 1
        exact = np.array(given, dtype=np.float64)
        if exact.shape != self._no.shape:
            raise RunError(f"rewards of shape {exact.shape} instead of {self._no.shape}")
        first, last, discount = self._no.copy(), self._no.copy(), self._ones.copy()
        ended = False
        if some(terminated) or some(truncated) or self._cap is not None:
            last = np.array(terminated, dtype=bool)
            discount[last] = 0.0
            last |= truncated
            if self._cap is not None:
                last |= self._slot - self._born >= self._cap
            ended = some(last)
        lives = self._lives_of(info)
        if self._life_loss:
            discount[lives < self._lives] = 0.0
        self._lives = lives
        if starts or self._games is not None:
            first[list(starts)] = True
            if self._games is not None:
                first |= np.array(self._episode) < 0
            self._born = np.where(first, self._slot, self._born)
            action[first] = 0
            exact[first] = discount[first] = 0.0
            last &= ~first
            ended = some(last)
        with np.errstate(over="ignore"):  # refused by name below
            reward = exact.astype(np.float32)
        self._require_finite("the reward of", reward, raw=exact)
        if info or starts:
            self._note(info)
        self._info = {**self._info, "exact_reward": exact}
        obs, mask = self._observe(info, last)
        self._ended = ended
        return TimeStep(obs, mask, action, reward, discount, first, last, self._info)

    def _outcome(self, actions: Any, starts: Starts) -> Outcome:
        """The environments' outcome; after a load that had to reset all of them, the infos of that reset."""
        if self._reset_info is None:
            return self._vector.step(actions, starts)
        info, self._reset_info = self._reset_info, None
        return Outcome(np.zeros(self.num_envs), self._no, self._no, info)

    def start_ended(self) -> TimeStep:
        """The row to act on next, with the next episode begun in each environment whose row was `last`.

        For learners without `first` rows, such as SB3's: the first observation of an episode takes no slot, and the
        other environments stay as they are. `step` would begin the same episodes.
        """
        if not self._ended:
            return self._row
        old, starts = self._row, self._starts()
        flickers = self._flickers
        if self._flicker:  # the others have drawn for this row already
            self._flickers = [rng if i in starts else copy.deepcopy(rng) for i, rng in enumerate(flickers)]
        try:
            info = self._vector.restart(starts) if self._reset_info is None else self._reset_info
            self._reset_info = None
            began = np.zeros(self.num_envs, bool)
            began[list(starts)] = True
            self._born = np.where(began, self._slot, self._born)
            self._lives = self._lives_of(info)
            self._note(info)
            obs, mask = self._observe(info, ~began)
        except RunError as error:
            raise RunError(f"{self.spec.id}: {error}") from error
        finally:
            self._flickers = flickers
        kept = {name: leaf.copy() for name, leaf in old.obs.items()}
        for name, leaf in kept.items():
            leaf[began] = obs[name][began]
        if mask is not None and old.mask is not None:
            mask = np.where(began[:, None], mask, old.mask)
        self._ended = False
        fields = {name: getattr(old, name).copy() for name in ("action", "reward", "discount")}
        for field in fields.values():
            field[began] = 0
        self._row = TimeStep(kept, mask, first=old.first | began, last=self._no.copy(), info=self._info, **fields)
        self._prepare()
        return self._row

    def _starts(self) -> Starts:
        """The environments whose episode has ended, with the seed of the next one (None: no game is left)."""
        starts: dict[int, int | None] = {}
        episode, seeds = list(self._episode), self._seeds.copy()
        for i in np.flatnonzero(self._row.last).tolist():
            if self._games is None:
                episode[i] += 1
            elif self._lost[i]:  # its game was cut off by the load: it is played again
                starts[i] = int(seeds[i])
                continue
            elif self._next_game < self._first + self._games:
                episode[i] = self._next_game
                self._next_game += 1
            else:
                episode[i] = -1
                starts[i] = None
                continue
            seeds[i] = self._seed_of(i, episode[i])
            starts[i] = int(seeds[i])
        self._episode, self._seeds, self._lost = episode, seeds, self._no
        if self._flicker:
            self._flickers = [self._flicker_of(i) if i in starts else rng for i, rng in enumerate(self._flickers)]
        return starts

    def _seed_of(self, index: int, episode: int) -> int:
        return episode_seed(self._seed, self._stream, self._first + index, episode, self._games)

    def _prepare(self) -> None:
        """Tells the vector which seeds come next, if it can use the hint."""
        self._prepared = True
        if not self._vector.prepares:
            return
        if self._games is None:
            keys = [(i, k + 1) for i, k in enumerate(self._episode)]
        else:
            end = min(self._next_game + self.num_envs, self._first + self._games)
            keys = [(0, game) for game in range(self._next_game, end)]
        self._vector.prepare([self._seed_of(i, k) for i, k in keys])

    def _remember(self, action: np.ndarray) -> None:
        self._history.append(action)
        if len(self._history) & 1023 == 0:  # from time to time forget actions that no running episode needs
            needed = min(self._slot - int(self._born.min()), HISTORY)
            del self._history[: len(self._history) - needed]

    def _observe(self, info: dict[str, Any], last: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        obs = {}
        for cast in self._casts:
            raw = self._vector.raw(cast)
            if raw.dtype.itemsize <= 4:
                leaf = cast(raw)
            else:
                with np.errstate(over="ignore"):  # refused by name below
                    leaf = cast(raw)
            obs[cast.name] = leaf
            if cast.may_be_non_finite:
                self._require_finite("observation leaf", leaf, cast.name, raw)
        if self._flicker:
            for i, rng in enumerate(self._flickers):
                if rng.random() < self._flicker:
                    for leaf in obs.values():
                        leaf[i] = 0
        if not self.spec.masked:
            if info and self.spec.action.logits and mask_of(info) is not None:
                raise RunError("an environment gave an action mask in a step, but none at its reset: give it at both")
            return obs, None
        return obs, self._mask(info, last | (np.array(self._episode) < 0))

    def _mask(self, info: dict[str, Any], over: np.ndarray) -> np.ndarray:
        """The actions allowed now, bool [N, A]. Environments whose episode is `over` need no mask: all are allowed."""
        if self._mask_cast is not None:
            mask = self._mask_cast(self._vector.raw(self._mask_cast))
        else:
            mask = self._mask_in(mask_of(info), over)
        none = ~mask.any(axis=1)
        if none.any():
            stuck = np.flatnonzero(none & ~over)
            if len(stuck):
                raise RunError(f"environment {stuck[0]} allows no action at all")
            mask[none] = True
        return mask

    def _mask_in(self, given: Any, over: np.ndarray) -> np.ndarray:
        """The masks that an info gives, bool [N, A]. Raises `RunError` if one is missing or has another size."""
        shape = self.num_envs, self.spec.action.logits
        if isinstance(given, np.ndarray) and given.shape == shape and given.dtype.kind in "biuf":
            return np.asarray(given != 0)
        mask = np.ones(shape, bool)
        for i in range(self.num_envs):
            if given is not None and given[i] is not None:
                try:
                    mask[i] = flat_mask(given[i], shape[1])
                except InputError as error:
                    raise RunError(f"environment {i} gave {error}") from None
            elif not over[i]:
                raise RunError(
                    f"environment {i} gave no action mask, but its first reset gave one: "
                    "give one at every reset and step, as info['action_mask'] or as action_masks()"
                )
        return mask

    def _lives_of(self, info: dict[str, Any]) -> np.ndarray:
        lives = info.get("lives")
        if lives is None:
            return self._lives
        if isinstance(lives, np.ndarray):
            return lives.astype(np.int64)
        return np.array([old if new is None else new for old, new in zip(self._lives, lives, strict=True)])

    def _note(self, info: dict[str, Any]) -> None:
        """The row's info: the environment's own, each episode's seed, its number and in an evaluation its game."""
        self._info = {**info, "seed": self._seeds}
        if self._games is None:
            self._info["episode"] = np.array(self._episode)
        else:
            self._info["game"] = np.array(self._episode)
        if self._copied is not None:
            self._info["states"] = self._states

    def _states(self) -> np.ndarray:
        """Copies of the environments' states [N] as the simulator takes them: for agents that plan."""
        try:
            return self._copied.read(self._vector.environments(), self._row.mask)  # type: ignore[no-any-return,union-attr]
        except InputError as error:
            raise InputError(f"{self.spec.id}: {error}") from None

    def _flicker_of(self, i: int) -> np.random.Generator:
        return generator(int(self._seeds[i]), "flicker")

    def _require_finite(self, what: str, values: np.ndarray, leaf: str = "", raw: Any = None) -> None:
        """`NonFiniteError` for a NaN or infinity in `values` [N, ...]; `RunError` if only float32 cannot hold `raw`."""
        flat = values.ravel()
        tiny = self._tiny.get(flat.size)
        if tiny is None:
            tiny = self._tiny[flat.size] = np.full(flat.size, 1e-10, np.float32)
        if math.isfinite(flat.dot(tiny)):  # 5 times faster than isfinite().all(), and finite numbers never overflow it
            return
        bad = ~np.isfinite(values)
        if bad.any():
            name = f"{what} {leaf!r} of" if leaf else what
            i, value = np.argwhere(bad)[0][0], values[bad].flat[0]
            given = None if raw is None else np.asarray(raw, np.float64).reshape(values.shape)[bad].flat[0]
            if given is not None and np.isfinite(given):
                raise RunError(f"{name} environment {i} is {given:g}, beyond float32's 3.4e38: scale it in a wrapper")
            raise NonFiniteError(f"{self.spec.id}: {name} environment {i} is not finite ({value})")

    def state_dict(self) -> dict[str, Any]:
        """Each environment's episode, seed and actions since its start, and the current row: JSON values and arrays."""
        row = self._row
        actions: list[np.ndarray | None] = []
        if not self._vector.has_state:
            history = np.array(self._history, self._action_dtype).reshape(-1, *self._action_shape)  # [T, N, ...]
            for i, length in enumerate((self._slot - self._born).tolist()):
                known = length <= len(history)
                actions.append(history[len(history) - length :, i].copy() if known else None)
        return {
            "id": self.spec.id,
            "num_envs": self.num_envs,
            "fresh": self._fresh,
            "episode": list(self._episode),
            "next_game": self._next_game,
            "seeds": self._seeds.copy(),
            "length": self._slot - self._born,
            "lives": self._lives.copy(),
            "actions": actions,
            "flickers": [generator_state(rng) for rng in self._flickers],
            "row": {name: getattr(row, name) for name in TimeStep._fields if name != "info"},
            "exact": self._vector.get_state() if self._vector.has_state else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> TimeStep:
        """Restores and returns the current row.

        Each environment is reset to its episode's seed and its actions are played again. If its observation then
        differs from the saved one in a single bit, one line reports it, `resume_level` becomes "episode", and the saved
        row becomes `last`: the next row is `first` and starts the next episode. By row rule 1 this is a truncation, for
        the agent and for the statistics. Raises `InputError` for another environment's state.
        """
        n = self.num_envs
        if (state["id"], state["num_envs"]) != (self.spec.id, n):
            raise InputError(
                f"the saved state is of {state['num_envs']} x {state['id']}, not of {n} x {self.spec.id}: "
                "resume with the run's own settings"
            )
        self._fresh = bool(state["fresh"])
        self._episode = [int(k) for k in state["episode"]]
        self._next_game = int(state["next_game"])
        self._seeds = np.array(state["seeds"])
        self._slot = int(max(state["length"]))
        self._born = self._slot - np.array(state["length"])
        self._lives = np.array(state["lives"])
        self._flickers = [self._flicker_of(i) for i in range(n)] if self._flicker else []
        for rng, saved in zip(self._flickers, state["flickers"], strict=True):
            restore_generator(rng, saved)
        row = TimeStep(**state["row"], info={})
        idle = np.array(self._episode) < 0
        settled = idle  # their observations need not be compared
        info: dict[str, Any] = {}
        self._lost, self._reset_info = self._no, None
        if state["exact"] is not None:
            self._vector.set_state(state["exact"], np.asarray(row.last))
            lost, settled = np.zeros(n, bool), idle | row.last  # a vector may show the reset's observation already
        elif self._vector.seeded:
            lost = np.array([actions is None for actions in state["actions"]]) & ~idle
            try:
                info = self._replay(state["actions"], idle | lost)
            except RunError as error:
                log.warning("%s: replaying the saved actions failed (%s)", self.spec.id, error)
                lost = ~idle
                self._vector.reset(self._seeds.tolist())
        else:
            lost = np.ones(n, bool)
        for cast in self._casts:
            now, then = cast(self._vector.raw(cast)), np.asarray(row.obs[cast.name])
            for i in np.flatnonzero(~(lost | settled)):
                blank = self._flicker > 0 and not then[i].any()
                lost[i] = not blank and now[i].tobytes() != then[i].tobytes()
        self._note(info)
        self._row = row._replace(info=self._info)
        self._ended = bool(row.last.any())
        if lost.any():
            self._end_lost(lost)
        self._prepared = False
        return self._row

    def _replay(self, actions: Sequence[np.ndarray | None], skip: np.ndarray) -> Info:
        """Plays each environment's actions again from its seed, shorter episodes starting later: all end together."""
        lengths = [0 if s or a is None else len(a) for a, s in zip(actions, skip, strict=True)]
        longest, seeds = max(lengths), self._seeds.tolist()
        self._slot, self._history, self._born = longest, [], longest - np.array(lengths)
        info = self._vector.reset(seeds)
        for t in range(longest):
            action = np.zeros(self._action_shape, self._action_dtype)
            starts: dict[int, int | None] = {}
            for i, born in enumerate(self._born.tolist()):
                if t >= born:
                    action[i] = np.asarray(actions[i])[t - born]
                elif t == born - 1:
                    starts[i] = seeds[i]
                elif t == 0:
                    starts[i] = None
            info = self._vector.step(self._to_env(action), starts).info
            self._history.append(action)
        if skip.any() and longest:
            self._vector.restart({int(i): None for i in np.flatnonzero(skip)})
        return info

    def _end_lost(self, lost: np.ndarray) -> None:
        """Makes the row `last` for the `lost` environments, so that the next step starts an episode in each."""
        self.resume_level = "episode"
        log.warning(
            "%s: %d of %d environments could not be restored exactly; each starts a new episode (episode-exact)",
            self.spec.id,
            lost.sum(),
            self.num_envs,
        )
        self._row = self._row._replace(last=np.asarray(self._row.last) | lost)
        self._lost, self._ended = lost, True
        if not self._vector.seeded:
            seeds = [self._seed_of(i, k + 1) for i, k in enumerate(self._episode)]
            self._reset_info = self._vector.reset(seeds)

    def face(self, opponent: Any) -> None:
        """Attaches the learner of a training as the opponent of a board game made with opponent="self".

        Raises `InputError` for other environments.
        """
        self._vector.face(opponent)

    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment, of the newest row. Needs `render=True` in `make`."""
        if not self._pictures:
            raise InputError(f"{self.spec.id} was made without pictures: pass render=True")
        return self._vector.render()

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the row before to the newest; None if nothing glides."""
        return self._vector.glide(part) if self._pictures else None

    def close(self) -> None:
        """Ends worker processes and windows. Closing twice is fine."""
        self._vector.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def some(flags: Any) -> bool:
    """Whether any flag of an array, or of a short list, is true. `any()` of an array takes several times as long."""
    return any(flags) if type(flags) is list else bool(np.count_nonzero(flags))


def episode_seed(seed: int, stream: str, index: int, episode: int, games: int | None) -> int:
    """Seed of episode k of environment i of a stream, or of game j of an evaluation, the same for every agent."""
    return derive_seed(seed, "evaluate", episode) if games is not None else derive_seed(seed, stream, index, episode)


def first_seeds(num_envs: int, seed: int, stream: str, games: int | None, first: int = 0) -> list[int]:
    """The seeds of the first reset."""
    episodes = [0] * num_envs if games is None else first_games(num_envs, games, first)
    return [episode_seed(seed, stream, first + i, max(k, 0), games) for i, k in enumerate(episodes)]


def first_games(num_envs: int, games: int, first: int = 0) -> list[int]:
    """The first game of each environment in an evaluation; -1 if there are fewer games than environments.

    Game j begins in environment j modulo `num_envs`, whatever `first` is: a row of a product of matrices has other bits
    in another place.
    """
    placed = [first + (i - first) % num_envs for i in range(num_envs)]
    return [game if game < first + games else -1 for game in placed]
