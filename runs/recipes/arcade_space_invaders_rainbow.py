"""Rainbow on the arcade's Space Invaders, a million steps; the aim is 110 points.

Up against a published Rainbow, 106 (one seed), SB3's DQN, 14 to 26, and SB3's QR-DQN, 28. Sticky actions 0.1,
difficulty ramping, games of at most 5,000 steps.

An untrained network's distributions are heaped up at 0: even ones, as published, start every value at 20, which takes
long to forget. `runs/studies/rainbow.args` compares the two.

With Revisiting Rainbow's learning rate of 1e-4 and Adam's epsilon of 3e-4 four recorded seeds reached 102.3 (IQM), two
with the values below and no LayerNorm 104.3 and 90.2. On a tuning seed greedy games after 300,000 steps gave 42 with
the published values, 71 with a rate of 2.5e-4 and the small epsilon, 77 with LayerNorm as well, whose games in training
were better all the way. On the same seed n_step=5 was no better (75), n_step=10 (26) and even distributions (38) were
worse, and twice as many updates had learned no more after half of those steps. Games in training after 250,000 steps
gave 52, 47 in float32, 40 with noise that starts at 0.1; four times as many updates were ahead
until 100,000 steps and no more after 130,000 (33, 31 without), where four stacked frames were behind (25).

All that was with a hidden layer of 128 units, as is usual here, with which the first recorded seed reached 106.2. It
was the layer that held the games back: after 250,000 steps those 52 became 66 with 256 units, which take a third more
time, and 71 with 512, which take twice the time.

Recorded with five seeds: 138.0, 131.4, 139.5, 139.8, 113.2; 33.0 minutes of one core.
"""

from agents.c51 import C51Config
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/SpaceInvaders-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=C51Config(
        net=NetConfig(hidden=(256,), layer_norm=True),
        v_min=0.0,
        v_max=40.0,
        initial=0.0,
        double=True,
        dueling=True,
        noisy=True,
        n_step=3,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 1_000_000),
        epsilon=0.0,
        lr=Ramp(3e-4, 3e-5, 1_000_000),
        adam_eps=1.5e-5,
        batch_size=32,
        buffer_size=100_000,
        learning_starts=1_000,
        replay_ratio=0.25,
        update_every=4,
        target_every=250,
    ),
    steps=1_000_000,
    num_envs=4,
    eval_episodes=100,
    log_every=10_000,
)
