"""Suites: names for several tasks. Imports nothing heavy."""

from __future__ import annotations

import os

from rl.errors import InputError
from rl.stats import atari_scores

SUITES: dict[str, tuple[str, ...]] = {
    "classic": ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"),
    "arcade": tuple(f"Arcade/{g}-v1" for g in ("Breakout", "Asterix", "Freeway", "Seaquest", "SpaceInvaders")),
    "box2d_continuous": ("lunarlander_continuous_ppo", "BipedalWalker-v3"),
    "mujoco": tuple(f"{name}-v5" for name in ("HalfCheetah", "Walker2d", "Ant", "Hopper", "Humanoid")),
    # Aitchison et al. 2023: five games that predict the median of 57
    "atari5": tuple(f"ALE/{g}-v5" for g in ("BattleZone", "DoubleDunk", "NameThisGame", "Phoenix", "Qbert")),
    # Kaiser et al. 2020
    "atari26": tuple(
        f"ALE/{g}-v5"
        for g in (
            *("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout"),
            *("ChopperCommand", "CrazyClimber", "DemonAttack", "Freeway", "Frostbite", "Gopher", "Hero", "Jamesbond"),
            *("Kangaroo", "Krull", "KungFuMaster", "MsPacman", "Pong", "PrivateEye", "Qbert", "RoadRunner"),
            *("Seaquest", "UpNDown"),
        )
    ),
    "atari57": tuple(f"ALE/{game.title().replace('_', '')}-v5" for game in atari_scores()),
}


def is_suite(word: str) -> bool:
    """Whether a word of the command line names a suite, and not a file or folder of that name."""
    return word in SUITES and not os.path.exists(word)


def in_suite(suite: str) -> list[str]:
    """The recipes of a suite's environments, which `rl record` and `rl tune` take one after the other."""
    from runs.recipe import recipe_names, resolve

    found = [name for name in recipe_names() if {name, resolve(name).env} & set(SUITES[suite])]
    if not found:
        raise InputError(f"no recipe is of an environment of {suite}: {', '.join(SUITES[suite][:5])}")
    return found
