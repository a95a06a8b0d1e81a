"""Bandits: an episode is one problem of `pulls` pulls. Stationary, drifting, adversarial and contextual testbeds."""

from __future__ import annotations

KINDS = ("Stationary", "Drifting", "Adversarial", "Contextual")


def register() -> None:
    """Registers `Bandit/Stationary-v1` and its siblings with Gymnasium."""
    import gymnasium

    for kind in KINDS:
        if f"Bandit/{kind}-v1" not in gymnasium.registry:
            gymnasium.register(f"Bandit/{kind}-v1", f"envs.bandits.env:{kind}")
