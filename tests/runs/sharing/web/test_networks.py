"""The network in JavaScript against PyTorch: the same actions, values and saliency on the same observations."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.alphazero import AlphaZeroConfig
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.qrdqn import QRDQNConfig
from agents.r2d2 import R2D2Config
from agents.sac import SACConfig
from agents.td3 import TD3Config
from rl.errors import InputError
from rl.interface import TimeStep
from rl.networks import NetConfig
from rl.networks.config import ResNetConfig
from runs.sharing.web.plan import network_plan
from runs.watching.saliency import Saliency
from tests.runs.sharing.web import javascript

ARCADE, CART, PENDULUM = "Arcade/Breakout-v1", "CartPole-v1", "Pendulum-v1"

CASES: dict[str, tuple[str, Any]] = {
    "dqn": (CART, DQNConfig(net=NetConfig(hidden=(32, 32), layer_norm=True), stack=3)),
    "dqn dueling noisy": (ARCADE, DQNConfig(dueling=True, noisy=True, epsilon=0.0)),
    "dqn normalised": (CART, DQNConfig(normalize_obs=True, net=NetConfig(hidden=(32,), activation="silu"))),
    "dqn simba": (CART, DQNConfig(net=NetConfig(encoder="simba", hidden=(32, 32)))),
    "c51": (CART, C51Config(v_min=0, v_max=100, initial=10.0)),
    "rainbow": (ARCADE, C51Config(dueling=True, noisy=True, epsilon=0.0, net=NetConfig(layer_norm=True))),
    "qrdqn": (CART, QRDQNConfig(quantiles=8, net=NetConfig(activation="elu"))),
    "iqn": (CART, IQNConfig(act_taus=8, dueling=True)),
    "pqn": (ARCADE, PQNConfig(stack=2)),
    "ppo": (CART, PPOConfig(normalize_obs=True)),
    "ppo pictures": (ARCADE, PPOConfig(net=NetConfig(orthogonal=True, layer_norm=True))),
    "ppo continuous": (PENDULUM, PPOConfig()),
    "sac": (PENDULUM, SACConfig(net=NetConfig(hidden=(32,)))),
    "sac discrete": (CART, SACConfig(net=NetConfig(hidden=(32,)))),
    "td3": (PENDULUM, TD3Config(net=NetConfig(hidden=(32,)))),
}
SMALLEST_GAP = 1e-5
"""Where PyTorch's two best values are closer than this, float32 decides and either action is right."""

ACT = """
const bytes = Uint8Array.from(atob(data.weights), c => c.charCodeAt(0));
const net = new Net(data.plan, new Float32Array(bytes.buffer));
return data.obs.map((row, i) => {
  if (data.first && data.first[i]) net.restart();
  const out = net.act(row), heat = data.saliency ? net.saliency(out) : null;
  return {bars: [...out.bars], choice: out.choice, value: out.value, heat: heat && [...heat]};
});
"""


def made(name: str) -> Any:
    env, config = CASES[name]
    agent = agents.build(config, envs.spec(env), num_envs=1, seed=3)
    torch.manual_seed(0)
    for key, tensor in agent.network.state_dict().items():
        if key.endswith("moments.0.mean"):
            tensor.normal_()
        elif key.endswith("moments.0.var"):
            tensor.uniform_(0.3, 3.0)
        elif "policy" in key or "head" in key or "noise" in key:
            tensor.normal_(0.0, 0.3)  # heads start near zero, where every action is as good
    if hasattr(agent.network, "bf16"):
        agent.network.bf16 = False
    return agent


def observations(agent: Any, count: int) -> np.ndarray:
    """[count, stack, *shape] as the network reads them."""
    (leaf,) = agent.spec.obs.values()
    rng, shape = np.random.default_rng(5), (count, agent.stack, *leaf.shape)
    return rng.random(shape) < 0.2 if leaf.kind == "board" else rng.normal(0, 1.5, shape).astype(np.float32)


def flat(agent: Any, obs: np.ndarray) -> list[list[float]]:
    """Each as the page's list: frames oldest first, of a board channel by channel."""
    obs = np.moveaxis(obs, -1, 2) if obs.ndim == 5 else obs
    return obs.reshape(len(obs), -1).astype(float).tolist()


def row(agent: Any, obs: np.ndarray, first: bool = True) -> TimeStep:
    (name,) = agent.spec.obs
    n, blank = len(obs), np.zeros(len(obs), np.float32)
    return TimeStep({name: obs}, None, blank, blank, blank, np.full(n, first), np.zeros(n, bool), {})


def judged(agent: Any, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's greedy actions and the numbers they follow: action values, logarithms of probabilities, or actions."""
    (name,) = agent.spec.obs
    actor = agent.actor(len(obs), 0)
    with torch.inference_mode():
        leaf = torch.from_numpy(obs if agent.stack > 1 else obs[:, 0])
        choice = agent.choose(actor, {name: leaf}, row(agent, obs[:, -1]))
    values = getattr(choice.output, "q_values", None)
    if values is None:
        dist = choice.output.dist
        values = dist.log_probs if hasattr(dist, "log_probs") else torch.from_numpy(choice.action)
    return choice.action, values.numpy()


def compare(name: str, count: int) -> int:
    """Checks actions and values on `count` observations; returns how many were too close to tell."""
    agent = made(name)
    obs = observations(agent, count)
    plan, weights = network_plan(agent)
    text = base64.b64encode(weights.tobytes()).decode()
    got = javascript.run(ACT, {"plan": plan, "weights": text, "obs": flat(agent, obs)})
    action, values = judged(agent, obs)
    bars = np.array([x["bars"] for x in got])
    if agent.spec.action.kind == "box":
        assert np.abs(bars - values).max() < 1e-5
        return 0
    if plan["kind"] == "probabilities":
        assert np.abs(np.exp(values) - bars).max() < 1e-5
    else:
        assert np.abs(values - bars).max() < 1e-4 * max(1.0, np.abs(values).max())
    best = np.sort(values, axis=1)
    clear = best[:, -1] - best[:, -2] > SMALLEST_GAP
    assert (np.array([x["choice"] for x in got])[clear] == action[clear]).all()
    assert len(set(action.tolist())) > 1
    return int((~clear).sum())


@javascript.needs_javascript
@pytest.mark.parametrize("name", CASES)
def test_300_actions_equal_pytorch(name: str) -> None:
    assert compare(name, 300) <= 3


@pytest.mark.full
@javascript.needs_javascript
@pytest.mark.parametrize("name", CASES)
def test_10_000_actions_equal_pytorch(name: str) -> None:
    assert compare(name, 10_000) <= 30


@javascript.needs_javascript
@pytest.mark.parametrize("name", ["dqn dueling noisy", "rainbow", "pqn", "ppo pictures"])
def test_saliency_equals_the_viewers_gradient(name: str) -> None:
    agent = made(name)
    obs = observations(agent, 20)
    plan, weights = network_plan(agent)
    text = base64.b64encode(weights.tobytes()).decode()
    data = {"plan": plan, "weights": text, "obs": flat(agent, obs), "saliency": True}
    got = [np.array(x["heat"]) for x in javascript.run(ACT, data)]
    (leaf,) = agent.spec.obs
    for ours, frames in zip(got, obs, strict=True):
        saliency = Saliency(agent.actor(1, 0))
        seen = frames[None] if agent.stack > 1 else frames
        viewer = saliency.map({leaf: seen}, row(agent, frames[-1:]))
        heat = ours.reshape(-1, 10, 10).sum(0)
        middle = np.median(heat)
        np.testing.assert_allclose(viewer, np.clip((heat - middle) / (heat.max() - middle), 0, 1), atol=2e-4)


@javascript.needs_javascript
@pytest.mark.parametrize(
    "config",
    [PPOConfig(net=NetConfig(core="lstm", core_size=8)), R2D2Config(net=NetConfig(core="gru", core_size=8))],
    ids=["ppo lstm", "r2d2 gru"],
)
def test_a_memory_gives_the_same_numbers_row_by_row_and_restarts_with_the_episode(config: Any) -> None:
    torch.manual_seed(1)
    agent = agents.build(config, envs.spec("CartPole-NoVelocity-v1"), num_envs=1, seed=0)
    plan, weights = network_plan(agent)
    obs, starts = observations(agent, 60), (0, 25)
    actor, truth = agent.actor(1, 0), []
    with torch.inference_mode():
        for t in range(60):
            choice = agent.choose(actor, {"obs": torch.from_numpy(obs[t])}, row(agent, obs[t], t in starts))
            output = choice.output
            truth.append(output.dist.log_probs.exp() if hasattr(output, "dist") else output.q_values)
    data = {"plan": plan, "weights": base64.b64encode(weights.tobytes()).decode(), "obs": flat(agent, obs)}
    got = javascript.run(ACT, {**data, "first": [t in starts for t in range(60)]})
    np.testing.assert_allclose([x["bars"] for x in got], torch.cat(truth).numpy(), atol=1e-5)


@javascript.needs_javascript
def test_alphazeros_network_gives_the_same_probabilities_and_value() -> None:
    config = AlphaZeroConfig(net=ResNetConfig(channels=8, blocks=2), precision="fp32")
    agent = agents.build(config, envs.spec("Boards/ConnectFour-v1"), num_envs=1, seed=0)
    plan, weights = network_plan(agent)
    obs = observations(agent, 50)
    with torch.inference_mode():
        logits, value = agent.network({"obs": torch.from_numpy(obs[:, 0])})
    data = {"plan": plan, "weights": base64.b64encode(weights.tobytes()).decode(), "obs": flat(agent, obs)}
    got = javascript.run(ACT, data)
    np.testing.assert_allclose([x["bars"] for x in got], logits.softmax(-1).numpy(), atol=1e-5)
    np.testing.assert_allclose([x["value"] for x in got], value.numpy(), atol=1e-5)


@javascript.needs_javascript
def test_float16_weights_are_read_exactly() -> None:
    values = np.array([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 1e-5, 0.1, -3.14159], "<f2")
    text = base64.b64encode(values.tobytes()).decode()
    assert javascript.run("return [...floatsOf(data, true)];", text) == values.astype(float).tolist()


def test_a_layer_without_javascript_is_named() -> None:
    spec = envs.spec("ALE/Pong-v5")
    with pytest.raises(InputError, match="shows images"):
        network_plan(agents.build(DQNConfig(), spec, num_envs=1, seed=0))
