"""What the MuJoCo recipes have in common: CrossQ."""

from agents.sac import SACConfig
from rl.networks import NetConfig
from runs.recipe import Run


def crossq(env: str) -> Run:
    """CrossQ's published values for 300,000 steps, with networks of 256 units instead of critics of 1024 or 2048.

    With critics of 512, one core makes 33 steps a second: two and a half hours.
    """
    agent = SACConfig(
        net=NetConfig(hidden=(256, 256)),
        batch_renorm=True,
        lr=1e-3,
        beta1=0.5,
        policy_delay=3,
        buffer_size=300_000,
        learning_starts=5_000,
    )
    return Run(env=env, agent=agent, steps=300_000)
