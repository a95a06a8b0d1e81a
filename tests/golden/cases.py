"""The golden runs: what is trained, as words of the command line."""

from __future__ import annotations

from dataclasses import dataclass

COMPASS = "tests.golden.worlds:Compass"
VALUE = (
    "lr=5e-3 learning_starts=100 buffer_size=400 replay_ratio=0.25 update_every=4 target_every=10 epsilon=1.0:0.1:400"
)
PIXELS = "learning_starts=64 buffer_size=120 batch_size=8 update_every=8 replay_ratio=0.125 target_every=2 stack=2"
CRITICS = "learning_starts=100 buffer_size=400 batch_size=16 replay_ratio=0.5 update_every=2"
BOARD = "net.hidden=32 learning_starts=100 buffer_size=300 batch_size=16 update_every=8 replay_ratio=0.125"


@dataclass(frozen=True)
class Case:
    """One training from `runs.train`."""

    env: str
    agent: str
    steps: int
    settings: str
    """FIELD=VALUE words, separated by spaces."""
    num_envs: int = 1

    @property
    def words(self) -> list[str]:
        vector = ["env_config.vector=sync"] if self.env.startswith(("CartPole", "Pendulum", "Memory", "tests")) else []
        fixed = ["eval_every=0", "save_every=0", "eval_episodes=2", "eval_max_steps=60", "log_every=20"]
        return [*fixed, *vector, *self.settings.split()]


def _vector(agent: str, more: str = "", steps: int = 400) -> Case:
    return Case("CartPole-v1", agent, steps, f"net.hidden=16 {VALUE} {more}")


CASES: dict[str, Case] = {
    # a vector, by NumPy if the network is a small MLP
    "dqn_vector": _vector("dqn"),
    "dqn_double": _vector("dqn", "double=true"),
    "dqn_dueling": _vector("dqn", "dueling=true"),
    "dqn_noisy": _vector("dqn", "noisy=true epsilon=0 head_hidden=8"),
    "dqn_n_step": _vector("dqn", "n_step=3"),
    "dqn_prioritized": _vector("dqn", "prioritized=true importance=0.4:1.0:400"),
    "dqn_munchausen": _vector("dqn", "munchausen=true"),
    "dqn_all_fields": _vector("dqn", "double=true dueling=true noisy=true n_step=3 prioritized=true huber=false"),
    "dqn_stack": _vector("dqn", "stack=2 n_step=2"),
    "dqn_several_envs": Case(
        "CartPole-v1",
        "dqn",
        400,
        f"net.hidden=16 layer_norm=true n_step=3 {VALUE} lr=1e-3:1e-4:400 eval_every=150 save_every=150",
        num_envs=4,
    ),
    "dqn_target_average": _vector("dqn", "target_tau=0.1 optimizer=adamw weight_decay=0.01 reward_clip=0.5"),
    "c51_vector": _vector("c51", "v_min=0 v_max=50 atoms=21"),
    "qrdqn_vector": _vector("qrdqn", "quantiles=10"),
    "iqn_vector": _vector("iqn", "taus=8 next_taus=8 act_taus=8 cosines=8"),
    "rainbow_vector": _vector("rainbow", "epsilon=0"),
    "drqn_vector": _vector("drqn", "core_size=8 batch_size=8"),
    "r2d2_vector": _vector("r2d2", "core_size=8 batch_size=8 burn_in=4 length=8 period=4 prioritized=true n_step=2"),
    "pqn_vector": Case("CartPole-v1", "pqn", 512, "net.hidden=16 rollout=16 minibatches=4", num_envs=4),
    "ppo_vector": Case("CartPole-v1", "ppo", 512, "net.hidden=16 rollout=32 minibatch_size=32 epochs=3", num_envs=4),
    "ppo_normalize": Case(
        "CartPole-v1",
        "ppo",
        512,
        "net.hidden=16 rollout=32 epochs=3 normalize_obs=true normalize_return=true value_clip=0.2 target_kl=0.02",
        num_envs=4,
    ),
    "a2c_vector": Case("CartPole-v1", "a2c", 400, "net.hidden=16 entropy_cost=0.01", num_envs=4),
    "reinforce_vector": Case("CartPole-v1", "reinforce", 500, "net.hidden=16 episodes=4 eval_sample=true", num_envs=2),
    # normalisation
    "dqn_normalize": _vector("dqn", "normalize_obs=true normalize_return=true n_step=2"),
    "pqn_normalize": Case(
        "CartPole-v1",
        "pqn",
        512,
        "net.hidden=16 rollout=16 minibatches=4 normalize_obs=true normalize_return=true",
        num_envs=4,
    ),
    "sac_normalize": Case(
        "Pendulum-v1", "sac", 300, f"net.hidden=16 {CRITICS} normalize_obs=true normalize_return=true", num_envs=2
    ),
    # memory
    "ppo_lstm": Case(
        "CartPole-NoVelocity-v1", "ppo", 512, "net.hidden=16 core=lstm core_size=8 rollout=32 epochs=2", num_envs=4
    ),
    "ppo_gru": Case(
        "CartPole-NoVelocity-v1", "ppo", 512, "net.hidden=16 core=gru core_size=8 rollout=32 epochs=2", num_envs=4
    ),
    "ppo_attention": Case(
        "CartPole-NoVelocity-v1", "ppo", 512, "net.hidden=16 core=attention core_size=8 rollout=32 epochs=2", num_envs=4
    ),
    "pqn_lstm": Case(
        "Memory/RememberCue-v0",
        "pqn",
        512,
        'net.hidden=16 core=lstm core_size=8 core_span=12 rollout=32 minibatches=2 env_config.options={"delay":10}',
        num_envs=4,
    ),
    # a Dict observation, by autograd
    "dqn_dict": Case(COMPASS, "dqn", 400, f"net.hidden=16 {VALUE}"),
    "ppo_dict": Case(COMPASS, "ppo", 512, "net.hidden=16 rollout=32 epochs=2", num_envs=4),
    "a2c_dict": Case(COMPASS, "a2c", 300, "net.hidden=16", num_envs=4),
    "pqn_dict": Case(COMPASS, "pqn", 512, "net.hidden=16 rollout=16 minibatches=4", num_envs=4),
    "ppo_nested": Case("Probe/Nested-v0", "ppo", 128, "net.hidden=16 rollout=32 epochs=2", num_envs=2),
    "ppo_masked": Case("Probe/MaskDict-v0", "ppo", 256, "net.hidden=16 rollout=32 epochs=2", num_envs=2),
    "dqn_masked": Case("Probe/MaskDict-v0", "dqn", 300, f"net.hidden=16 {VALUE}"),
    # a continuous action
    "ppo_continuous": Case("Pendulum-v1", "ppo", 512, "net.hidden=16 rollout=64 epochs=3", num_envs=4),
    "ppo_squash": Case("Pendulum-v1", "ppo", 256, "net.hidden=16 rollout=32 epochs=2 squash=true", num_envs=2),
    "ppo_gsde": Case("Pendulum-v1", "ppo", 256, "net.hidden=16 rollout=32 epochs=2 deviation=gsde", num_envs=2),
    "a2c_continuous": Case("Pendulum-v1", "a2c", 300, "net.hidden=16 eval_sample=true", num_envs=4),
    "reinforce_continuous": Case("Pendulum-v1", "reinforce", 900, "net.hidden=16 episodes=2", num_envs=2),
    "sac_continuous": Case("Pendulum-v1", "sac", 300, f"net.hidden=16 {CRITICS}", num_envs=2),
    "sac_gsde": Case("Pendulum-v1", "sac", 300, f"net.hidden=16 {CRITICS} gsde=true log_std=-2 temperature=0.1"),
    "sac_quantiles": Case(
        "Pendulum-v1", "sac", 300, f"net.hidden=16 {CRITICS} quantiles=5 n_step=3 prioritized=true dropout=0.01 stack=2"
    ),
    "sac_batch_renorm": Case(
        "Pendulum-v1", "sac", 300, f"net.hidden=16 {CRITICS} batch_renorm=true renorm_warmup=50 policy_delay=3"
    ),
    "sac_discrete": Case("CartPole-v1", "sac", 300, f"net.hidden=16 {CRITICS}"),
    "sac_simba": Case(
        "Pendulum-v1", "sac", 300, f"net.encoder=simba net.hidden=16 {CRITICS} optimizer=adamw weight_decay=0.01"
    ),
    "dqn_simba": _vector("dqn", "net.encoder=simba"),
    "td3_continuous": Case("Pendulum-v1", "td3", 300, f"net.hidden=16 {CRITICS}"),
    # a board
    "dqn_board": Case("Arcade/Breakout-v1", "dqn", 300, BOARD),
    "dqn_board_bf16": Case("Arcade/Breakout-v1", "dqn", 300, f"{BOARD} precision=bf16"),
    "rainbow_board": Case("Arcade/Breakout-v1", "rainbow", 300, f"{BOARD} head_hidden=16"),
    "pqn_board": Case("Arcade/Breakout-v1", "pqn", 256, "net.hidden=32 rollout=16 minibatches=2", num_envs=4),
    "ppo_board": Case("Arcade/Breakout-v1", "ppo", 256, "net.hidden=32 rollout=32 epochs=2", num_envs=4),
    # a picture
    "dqn_picture": Case("ALE/Pong-v5", "dqn", 120, f"{PIXELS} net.encoder=nips net.hidden=32"),
    "dqn_picture_auto": Case("ALE/Pong-v5", "dqn", 100, f"{PIXELS} batch_size=32"),
    "btr_lite_picture": Case(
        "ALE/Pong-v5", "btr_lite", 100, f"{PIXELS} net.width=1 head_hidden=32 epsilon=1.0:0.1:100"
    ),
    "ppo_picture": Case(
        "ALE/Pong-v5", "ppo", 128, "net.encoder=nips net.hidden=32 rollout=32 epochs=2 stack=2", num_envs=2
    ),
}
FIXTURES: dict[str, Case] = {
    "dqn": Case("CartPole-v1", "dqn", 300, f"net.hidden=8 {VALUE} buffer_size=200 n_step=3 prioritized=true"),
    "ppo": Case("CartPole-v1", "ppo", 256, "net.hidden=8 rollout=32 epochs=2 normalize_obs=true"),
    "r2d2": Case(
        "CartPole-NoVelocity-v1",
        "r2d2",
        300,
        f"net.hidden=8 core_size=8 batch_size=8 burn_in=4 length=8 period=4 {VALUE} buffer_size=200",
    ),
    "ppo_continuous": Case("Pendulum-v1", "ppo", 256, "net.hidden=8 rollout=32 epochs=2", num_envs=2),
}
"""Run folders that lie in tests/golden/runs."""
RESUMED = {"dqn": 500, "ppo": 512, "r2d2": 500, "ppo_continuous": 512}
"""The totals they are resumed to."""

COMPARED = {"recipe": "CartPole-v1", "agents": "dqn,sb3:dqn,random", "steps": 1_200, "seeds": 2, "evaluations": 2}
"""Arguments of `runs.compare`."""
