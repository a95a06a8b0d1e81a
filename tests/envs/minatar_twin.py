"""minatar (GPL, a development dependency) as a black box beside our games: made to draw from our generator.

A `Twin` is minatar's public environment whose random source is replaced by our own generator, in plain Python. Given
the same seed and actions both sides then consume the same draws, and everything one can look at must be equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from minatar import Environment

BITS = 2**64 - 1


class Draws:
    """SplitMix64 behind the two methods of NumPy's RandomState that minatar calls."""

    def __init__(self, counter: int) -> None:
        self.counter = counter

    def _next(self) -> int:
        self.counter = (self.counter + 0x9E3779B97F4A7C15) & BITS
        z = self.counter
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
        return z ^ (z >> 31)

    def rand(self, *shape: int) -> Any:
        if shape:
            return np.array([self.rand() for _ in range(int(np.prod(shape)))]).reshape(shape)
        return (self._next() >> 11) * 2.0**-53

    def randint(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        if size is not None:
            return np.array([self.randint(low, high) for _ in range(size)])
        low, high = (0, low) if high is None else (low, high)
        return low + ((self._next() >> 32) * (high - low) >> 32)


class Twin:
    """One minatar game that draws from our generator."""

    def __init__(self, module: str, sticky: float, ramping: bool) -> None:
        self.env = Environment(module, sticky_action_prob=sticky, difficulty_ramping=ramping)
        self.module = module
        self.draws = Draws(0)
        self.env.random = self.env.env.random = self.draws

    def reset(self, counter: int) -> None:
        """A new episode. minatar's sticky action survives a reset; here every episode starts with none."""
        self.draws.counter = counter
        self.env.last_action = 0
        self.env.reset()

    def load(self, row: Any) -> None:
        """Puts minatar into the state of `row`, one of our rows."""
        self.draws.counter = int(row["rng"])
        self.env.last_action = int(row["last_action"])
        globals()[f"_load_{self.module}"](self.env.env, row)
        self.env.env.terminal = False

    def act(self, code: int) -> tuple[float, bool]:
        return self.env.act(code)

    def observation(self) -> np.ndarray:
        return self.env.state().astype(bool)

    def state(self) -> dict[str, Any]:
        """minatar's state in our names."""
        game = self.env.env
        common = {"rng": self.draws.counter, "last_action": self.env.last_action}
        return common | globals()[f"_{self.module}"](game)


def _bits(rows: np.ndarray) -> list[float]:
    return (rows @ 2.0 ** np.arange(10)).tolist()


def _breakout(game: Any) -> dict[str, Any]:
    return {
        "paddle": game.pos,
        "ball_x": game.ball_x,
        "ball_y": game.ball_y,
        "trail_x": game.last_x,
        "trail_y": game.last_y,
        "dx": (-1, 1, 1, -1)[game.ball_dir],
        "dy": (-1, -1, 1, 1)[game.ball_dir],
        "striking": game.strike,
        "bricks": _bits(game.brick_map[1:4]),
    }


def _asterix(game: Any) -> dict[str, Any]:
    lanes = [(0, 0, 0) if e is None else (2 if e[3] else 1, e[0], 1 if e[2] else -1) for e in game.entities]
    kind, lane_x, heading = map(list, zip(*lanes))
    return {
        "x": game.player_x,
        "y": game.player_y,
        "spawn_timer": game.spawn_timer,
        "spawn_period": game.spawn_speed,
        "move_timer": game.move_timer,
        "move_period": game.move_speed,
        "ramp_timer": game.ramp_timer,
        "ramp_level": game.ramp_index,
        "kind": kind,
        "lane_x": lane_x,
        "heading": heading,
    }


def _freeway(game: Any) -> dict[str, Any]:
    return {
        "y": game.pos,
        "move_timer": game.move_timer,
        "time_left": game.terminate_timer,
        "car_x": [car[0] for car in game.cars],
        "car_timer": [car[2] for car in game.cars],
        "car_speed": [car[3] for car in game.cars],
    }


def _space_invaders(game: Any) -> dict[str, Any]:
    return {
        "x": game.pos,
        "heading": game.alien_dir,
        "reload_timer": game.shot_timer,
        "bomb_timer": game.alien_shot_timer,
        "march_timer": game.alien_move_timer,
        "march_period": game.enemy_move_interval,
        "ramp_level": game.ramp_index,
        "aliens": _bits(game.alien_map),
        "shots": _bits(game.f_bullet_map),
        "bombs": _bits(game.e_bullet_map),
    }


def _seaquest(game: Any) -> dict[str, Any]:
    lists = {
        "shots": game.f_bullets,
        "bombs": game.e_bullets,
        "fish": game.e_fish,
        "subs": game.e_subs,
        "divers": game.divers,
    }
    return {
        "x": game.sub_x,
        "y": game.sub_y,
        "facing_right": game.sub_or,
        "surfaced": game.surface,
        "oxygen": game.oxygen,
        "divers_aboard": game.diver_count,
        "reload_timer": game.shot_timer,
        "spawn_timer": game.e_spawn_timer,
        "spawn_period": game.e_spawn_speed,
        "diver_timer": game.d_spawn_timer,
        "move_period": game.move_speed,
        "ramp_level": game.ramp_index,
        **lists,
        **{f"num_{name}": len(things) for name, things in lists.items()},
    }


def _cells(rows: np.ndarray) -> np.ndarray:
    return np.array([[float(row >> x & 1) for x in range(10)] for row in rows.tolist()])


def _load_breakout(game: Any, row: Any) -> None:
    game.pos = int(row["paddle"])
    game.ball_x, game.ball_y = int(row["ball_x"]), int(row["ball_y"])
    game.last_x, game.last_y = int(row["trail_x"]), int(row["trail_y"])
    game.ball_dir = {(-1, -1): 0, (1, -1): 1, (1, 1): 2, (-1, 1): 3}[int(row["dx"]), int(row["dy"])]
    game.strike = bool(row["striking"])
    game.brick_map[:] = 0
    game.brick_map[1:4] = _cells(row["bricks"])


def _load_asterix(game: Any, row: Any) -> None:
    game.player_x, game.player_y = int(row["x"]), int(row["y"])
    game.spawn_timer, game.spawn_speed = int(row["spawn_timer"]), int(row["spawn_period"])
    game.move_timer, game.move_speed = int(row["move_timer"]), int(row["move_period"])
    game.ramp_timer, game.ramp_index = int(row["ramp_timer"]), int(row["ramp_level"])
    lanes = enumerate(zip(row["kind"].tolist(), row["lane_x"].tolist(), row["heading"].tolist()))
    game.entities = [None if kind == 0 else [x, k + 1, heading > 0, kind == 2] for k, (kind, x, heading) in lanes]


def _load_freeway(game: Any, row: Any) -> None:
    game.pos, game.move_timer = int(row["y"]), int(row["move_timer"])
    game.terminate_timer = int(row["time_left"])
    lanes = zip(row["car_x"].tolist(), row["car_timer"].tolist(), row["car_speed"].tolist())
    game.cars = [[x, k + 1, timer, speed] for k, (x, timer, speed) in enumerate(lanes)]


def _load_space_invaders(game: Any, row: Any) -> None:
    game.pos, game.alien_dir = int(row["x"]), int(row["heading"])
    game.shot_timer, game.alien_shot_timer = int(row["reload_timer"]), int(row["bomb_timer"])
    game.alien_move_timer, game.enemy_move_interval = int(row["march_timer"]), int(row["march_period"])
    game.ramp_index = int(row["ramp_level"])
    game.alien_map, game.f_bullet_map, game.e_bullet_map = map(_cells, (row["aliens"], row["shots"], row["bombs"]))


def _load_seaquest(game: Any, row: Any) -> None:
    game.sub_x, game.sub_y, game.sub_or = int(row["x"]), int(row["y"]), bool(row["facing_right"])
    game.surface, game.oxygen, game.diver_count = bool(row["surfaced"]), int(row["oxygen"]), int(row["divers_aboard"])
    game.shot_timer, game.d_spawn_timer = int(row["reload_timer"]), int(row["diver_timer"])
    game.e_spawn_timer, game.e_spawn_speed = int(row["spawn_timer"]), int(row["spawn_period"])
    game.move_speed, game.ramp_index = int(row["move_period"]), int(row["ramp_level"])

    def things(name: str) -> list[list[Any]]:
        rows = row[name][: row[f"num_{name}"]].tolist()
        return [[x, y, bool(right), *timers] for x, y, right, *timers in rows]

    game.f_bullets, game.e_bullets = things("shots"), things("bombs")
    game.e_fish, game.e_subs, game.divers = things("fish"), things("subs"), things("divers")
