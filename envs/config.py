"""Fields of an environment that a recipe or `--set` may choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rl.errors import InputError, unknown

Vector = Literal["auto", "sync", "async", "native", "compiled"]


@dataclass(frozen=True)
class EnvConfig:
    """How `envs.make` builds an environment. Rows are the same for every `vector`; only the speed differs."""

    vector: Vector = "auto"
    """Where environments step: `sync` in this process, `async` in worker processes, `native` in the environment's own
    vector class, `compiled` in a loop with Gymnasium's bits (classic control only). `auto` takes native for Atari and
    arcade games, compiled for classic control, else the faster of sync and async."""
    protocol: str = ""
    """Atari protocol: nature, dopamine, machado or 100k. Empty means nature; other environments have none."""
    max_steps: int | None = None
    """Truncate episodes after this many steps; never lengthens an environment's own limit."""
    life_loss: bool | None = None
    """Whether losing a life ends the return (discount 0, no restart). None: as the Atari protocol says, else no."""
    flicker: float = 0.0
    """Probability that a whole observation is replaced by zeros (Hausknecht and Stone, 2015)."""
    no_velocity: bool = False
    """Hide the velocities: the `...-NoVelocity` variant of CartPole, LunarLander, Pendulum or MountainCarContinuous."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment itself, as for `gymnasium.make` (or of ALE's vector class)."""
    reset_options: dict[str, Any] = field(default_factory=dict)
    """Passed to every `reset(options=...)`."""
    drop: tuple[str, ...] = ()
    """Entries of a Dict observation that are left out, such as MiniGrid's text `mission`."""

    def __post_init__(self) -> None:
        if self.vector not in get_args(Vector):
            raise unknown("vector", str(self.vector), get_args(Vector))
        if self.max_steps is not None and self.max_steps < 1:
            raise InputError(f"max_steps must be at least 1, got {self.max_steps}")
        if not 0.0 <= self.flicker < 1.0:
            raise InputError(f"flicker must be in [0, 1), got {self.flicker}")
