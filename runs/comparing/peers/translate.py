"""Hyperparameters of Stable-Baselines3 in terms of our agents' fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from runs.comparing.peers.peer import CRITICS, OFF_POLICY, OURS, Peer, arguments
from runs.settings.plain import from_json, to_json


def full_config(peer: Peer, steps: int) -> dict[str, Any]:
    """All hyperparameters of the peer, defaults included, for the page's table.

    Fields that our agents also have come first, with our names, so that both sides share a row. SB3's own names follow
    with the prefix `sb3.`.
    """
    fields, run, _ = ours_like(peer, steps)
    defaults = {
        k: v for k, v in arguments(peer.algorithm).items() if v is None or isinstance(v, (bool, int, float, str))
    }
    own = {k: v for k, v in dataclasses.asdict(peer).items() if k in OURS}
    used = {**own, **defaults, **peer.settings}
    if peer.algorithm in OFF_POLICY:
        used["buffer_size"] = fields["buffer_size"] = min(used["buffer_size"], steps)
    theirs = {f"sb3.{k}": v for k, v in used.items()}
    return {**run, **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}, **theirs}


def ours_like(peer: Peer, steps: int) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The peer's hyperparameters for our agent of the same algorithm.

    Returns the agent's fields (dotted names), the run's fields, and a line for each value that has no counterpart.
    Intervals are converted from SB3's environment steps to our gradient updates.
    """
    given = {**arguments(peer.algorithm), **peer.settings}
    kwargs = dict(given.get("policy_kwargs") or {})
    off_policy, image = peer.algorithm in OFF_POLICY, peer.policy.startswith("Cnn")
    fields: dict[str, Any] = {"gamma": given["gamma"], "stack": peer.frame_stack, "reward_clip": peer.reward_clip}
    fields["lr"] = _ramp(given["learning_rate"], steps)
    fields["max_grad_norm"] = given.get("max_grad_norm")
    hidden, lost = kwargs.pop("net_arch", _ARCHITECTURES.get(peer.algorithm)), list[str]()
    if isinstance(hidden, dict):
        if "vf" in hidden and hidden.get("pi") != hidden["vf"]:
            lost.append(f"net_arch={hidden}: policy and value have the same layers here")
        hidden, critic = hidden["pi"], hidden.get("qf")
        if critic not in (None, hidden):
            kwargs["critic_arch"] = critic
    fields["net.hidden"] = tuple(hidden) if hidden else (None if image else (64, 64))
    if not peer.policy.startswith("MultiInput"):  # `auto` would use a CNN for boards, which SB3 reads flat
        fields["net.encoder"] = "nature" if image else "mlp"
    fields["net.activation"] = kwargs.pop("activation_fn", "relu" if off_policy or image else "tanh")
    family = _critics if peer.algorithm in CRITICS else _values if off_policy else _policy
    more, lines = family(peer, given, kwargs, steps)
    lost += [*lines, *(f"policy_kwargs.{name}={value}" for name, value in kwargs.items())]
    return {**fields, **more}, {"num_envs": peer.n_envs}, lost


_ARCHITECTURES = {
    "sac": [256, 256],
    "td3": [400, 300],
    "tqc": [256, 256],
    "crossq": {"pi": [256, 256], "qf": [1024, 1024]},
}
"""SB3's default layers, if they are not 64, 64."""

Translated = tuple[dict[str, Any], list[str]]
"""Our fields, and a line for each value that has no counterpart."""


def _replay(peer: Peer, given: Mapping[str, Any], steps: int) -> Translated:
    """Optimizer, replay and intervals of an algorithm that learns from a replay."""
    every, updates = given["train_freq"], given["gradient_steps"]
    every = every * peer.n_envs if isinstance(every, int) else every[0]
    updates = every if updates < 0 else updates
    fields = {
        "optimizer": "adam",
        "adam_eps": 0.01 / given["batch_size"] if peer.algorithm == "qrdqn" else 1e-8,
        "batch_size": given["batch_size"],
        # Never full, like SB3's. At most every second of our rows is a `first` row, which SB3 does not store.
        "buffer_size": min(given["buffer_size"], 2 * (steps + peer.n_envs)),
        "learning_starts": given["learning_starts"],
        "update_every": every,
        "replay_ratio": updates / every,
    }
    lost = []
    if peer.normalize:
        fields |= _normalised(peer)
    if given.get("optimize_memory_usage"):
        lost.append("optimize_memory_usage: frames are never stored twice here")
    return fields, lost


def _normalised(peer: Peer) -> dict[str, bool]:
    """VecNormalize's arguments as our fields."""
    given = peer.normalize if isinstance(peer.normalize, Mapping) else {}
    on = bool(peer.normalize)
    return {
        "normalize_obs": on and given.get("norm_obs", True),
        "normalize_return": on and given.get("norm_reward", True),
    }


def _values(peer: Peer, given: Mapping[str, Any], kwargs: dict[str, Any], steps: int) -> Translated:
    """Fields of DQN and QR-DQN."""
    fields, lost = _replay(peer, given, steps)
    every, updates = fields["update_every"], round(fields["replay_ratio"] * fields["update_every"])
    fields |= {
        "target_every": max(updates, round(given["target_update_interval"] * updates / every)),
        "target_tau": given["tau"],
        "n_step": given.get("n_steps", 1),
        "epsilon": {
            "start": given["exploration_initial_eps"],
            "end": given["exploration_final_eps"],
            "steps": max(1, round(given["exploration_fraction"] * steps)),
        },
        **dict.fromkeys(("double", "dueling", "prioritized", "noisy"), False),
        **({"quantiles": kwargs.pop("n_quantiles", 200)} if peer.algorithm == "qrdqn" else {"huber": True}),
    }
    return fields, lost


def _critics(peer: Peer, given: Mapping[str, Any], kwargs: dict[str, Any], steps: int) -> Translated:
    """Fields of SAC, TD3, TQC and CrossQ."""
    fields, lost = _replay(peer, given, steps)
    fields |= {"n_step": given.get("n_steps", 1), "prioritized": False, "critics": kwargs.pop("n_critics", 2)}
    if (critic := kwargs.pop("critic_arch", None)) is not None:
        fields["critic_net"] = {"hidden": critic, "encoder": "mlp", "activation": "relu"}
    if peer.algorithm != "crossq":
        fields["target_tau"] = given["tau"]
    if peer.algorithm in ("td3", "crossq"):
        fields["policy_delay"] = given["policy_delay"]
    if peer.algorithm == "tqc":
        fields |= {"quantiles": kwargs.pop("n_quantiles", 25), "dropped": given["top_quantiles_to_drop_per_net"]}
    if peer.algorithm == "td3":
        fields |= {"target_noise": given["target_policy_noise"], "target_noise_clip": given["target_noise_clip"]}
        fields["explore_noise"] = given.get("noise_std", 0.0)
        if given.get("noise_type", "normal") != "normal":
            lost.append(
                f"noise_type={given['noise_type']}: the noise of a step does not depend on the step before it here"
            )
        return fields, lost
    fixed = given["ent_coef"]
    if isinstance(fixed, str):
        fields["initial_temperature"] = float(fixed.removeprefix("auto").lstrip("_") or 1.0)
        fixed = None
    fields |= {
        "temperature": fixed,
        "target_entropy": None if given["target_entropy"] == "auto" else given["target_entropy"],
    }
    if given.get("use_sde"):
        every = given["sde_sample_freq"]
        fields |= {"gsde": True, "noise_every": every if every > 0 else max(1, fields["update_every"] // peer.n_envs)}
        fields["log_std"] = kwargs.pop("log_std_init", -3)
        lost.append("use_sde: here neither expln limits the noise's deviation, nor is the mean limited to 2")
        kwargs.pop("use_expln", None)
    return fields, lost


def _policy(peer: Peer, given: Mapping[str, Any], kwargs: dict[str, Any], steps: int) -> Translated:
    """Fields of PPO, with or without memory, and A2C."""
    lost = [f"n_steps={given['n_steps']}: rows that start a game count in our rollouts, but they are not steps"]
    if peer.normalize:
        lost.append(
            "normalize: our moments of observations and returns move after each rollout, VecNormalize's at every "
            "step; the first rollout's observations are raw here"
        )
    fields = {
        "rollout": given["n_steps"],
        "gae_lambda": given["gae_lambda"],
        "entropy_cost": given["ent_coef"],
        "value_cost": given["vf_coef"],
        "normalize_advantage": given.get("normalize_advantage", True),
        **_normalised(peer),
    }
    if peer.algorithm == "a2c":
        fields |= {"optimizer": "rmsprop", "adam_eps": given["rms_prop_eps"]}
        if kwargs.pop("optimizer_class", None):
            lost.append("optimizer_class=RMSpropTFLike: PyTorch's RMSprop with the same rate and epsilon")
        kwargs.pop("optimizer_kwargs", None)
    else:
        fields |= {
            "optimizer": "adam",
            "adam_eps": 1e-5,
            "epochs": given["n_epochs"],
            "minibatch_size": given["batch_size"],
            "clip": _ramp(given["clip_range"], steps),
            "value_clip": given["clip_range_vf"],
            "target_kl": given["target_kl"],
        }
    if peer.algorithm == "recurrent_ppo":
        fields |= {"net.core": "lstm", "net.core_size": kwargs.pop("lstm_hidden_size", 256)}
        lost.append(
            "the order of memory and layers: observation, LSTM, net_arch, head in SB3; observation, layers, LSTM, "
            "head here"
        )
        fields["critic"] = "separate" if kwargs.pop("enable_critic_lstm", True) else "shared"
    fields["net.orthogonal"] = kwargs.pop("ortho_init", True)
    fields["policy.gain"] = 0.01 if fields["net.orthogonal"] else 0.0
    if given.get("use_sde"):
        every = given["sde_sample_freq"]
        fields |= {"policy.deviation": "gsde", "noise_every": given["n_steps"] if every < 0 else max(1, every)}
    fields["policy.log_std"] = kwargs.pop("log_std_init", 0.0)
    return fields, lost


def apply_fields(config: Any, fields: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """`config` with the dotted `fields` that it has, and a line for each other field that would change the agent."""
    data, lost = to_json(config), []
    for name, value in fields.items():
        *groups, last = name.split(".")
        place = data
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            if value not in (None, False):
                lost.append(f"{name}={value}: our {data.get('name', 'agent')} has no such field")
            continue
        place[last] = list(value) if isinstance(value, tuple) else value
    return from_json(type(config), data), lost


def _ramp(value: Any, steps: int) -> Any:
    """A Zoo schedule `lin_x` as one of ours: from x to 0 over the budget."""
    if isinstance(value, str) and value.startswith("lin_"):
        return {"start": float(value.removeprefix("lin_")), "end": 0.0, "steps": steps}
    return value
