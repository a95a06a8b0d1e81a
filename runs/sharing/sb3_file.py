"""`rl export --sb3`: our weights in a Stable-Baselines3 model, if SB3's policy has a place for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import envs
from rl.errors import InputError
from runs.comparing.peers.peer import algorithm_class, policy_name
from runs.comparing.peers.row_env import Reader, RowEnv
from runs.folder.trust import Trust
from runs.sharing.deployed import Deployed, Opened, checked, deploy
from runs.sharing.sb3_zip import names

SUPPORTED = ("dqn", "ppo", "a2c", "sac", "td3")


def write(run: str | Path, file: Path, trust: Trust) -> dict[str, Any]:
    """Writes `file`, which `stable_baselines3.DQN.load` and its siblings read; its actions are compared with ours."""
    model, recipe, rows = deploy(run, trust)
    agent = model.agent
    if agent.name not in SUPPORTED:
        raise InputError(f"--sb3 writes {', '.join(SUPPORTED)}; {agent.name} has no policy in Stable-Baselines3")
    stream = envs.make(recipe.env, num_envs=1, seed=0, stream="export", config=recipe.env_config)
    try:
        theirs = _model(model, RowEnv(stream, agent.stack))
    finally:
        stream.close()
    kind = type(theirs)
    return checked(model, recipe, rows, file, theirs.save, lambda path: _read(kind.load(path, device="cpu"), model))


def _model(model: Deployed, env: RowEnv) -> Any:
    agent, net = model.agent, model.agent.config.net
    cnn = net.encoder == "nature" or (
        net.encoder == "auto" and any("conv" in key for key in agent.network.state_dict())
    )
    hidden = list(net.hidden) if net.hidden is not None else [512] if cnn else [64, 64]
    kwargs: dict[str, Any] = {"activation_fn": _activation(net.activation)}
    kwargs |= (
        {"features_extractor_kwargs": {"features_dim": hidden[0]}, "net_arch": []} if cnn else {"net_arch": hidden}
    )
    more: dict[str, Any] = {"buffer_size": 1} if agent.name in ("dqn", "sac", "td3") else {}
    if agent.name in ("ppo", "a2c") and cnn:
        kwargs["share_features_extractor"] = agent.network.critic_torso is None
    if agent.name in ("sac", "td3"):
        kwargs["n_critics"] = agent.config.critics
    policy = "CnnPolicy" if cnn else policy_name(agent.name, agent.spec)
    try:
        made = algorithm_class(agent.name)(policy, env, device="cpu", policy_kwargs=kwargs, **more)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"Stable-Baselines3 cannot hold this policy: {str(error).splitlines()[0]}") from None
    state = made.policy.state_dict()
    unfilled = set(state)
    ours = agent.network.state_dict()
    for key, there in names(agent.name, cnn, len(hidden), ours).items():
        if key.startswith("temperature."):
            continue
        if not there or there[0] not in state or state[there[0]].shape != ours[key].shape:
            raise InputError(
                f"Stable-Baselines3's {agent.name} has no place for {key} {list(ours[key].shape)}: --sb3 takes plain "
                "networks (an MLP or nature; no layer norm, dueling, noise, memory, normalisation or quantiles)"
            )
        for name in state.keys() & set(there):
            state[name] = ours[key]
            unfilled.discard(name)
    if unfilled:
        raise InputError(f"Stable-Baselines3's {agent.name} needs {min(unfilled)}, which this agent lacks")
    made.policy.load_state_dict(state)
    made.num_timesteps = agent.step
    return made


def _activation(name: str) -> Any:
    from torch import nn

    return {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}[name]


def _read(loaded: Any, model: Deployed) -> Opened:
    spec, stack = model.agent.spec, model.agent.stack
    reader, start = Reader(spec, stack), spec.action.start

    def act(inputs: list[Any]) -> list[Any]:
        stacks = {name: x if stack > 1 else x[:, None] for name, x in zip(spec.obs, inputs, strict=False)}
        action = loaded.predict(reader(stacks), deterministic=True)[0]
        return [action + start if start and spec.action.kind == "discrete" else action]

    return act
