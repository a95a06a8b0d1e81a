"""Losses of small networks by rows, with their derivatives, and the drawing of actions: one compiled call each.

`agents.numpy_gradients` is their user. The losses are defined in `dqn.py`, `a2c.py` and `ppo.py`, in PyTorch; read
them there.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rl.jit import compiled

_compiled = partial(compiled, reordered=True)


@_compiled
def q_learning(  # type: ignore[no-untyped-def]
    q_values, after, values, allowed, action, reward, discount, weight, huber, output_grad, priority
):
    """DQN's loss of B rows, and its derivative by the network's output.

    Args:
        q_values, after, values: float32 [B, A], of the observation, of the next one by the target network, and the
            values that choose the next action.
        allowed: bool [B, A], the next actions that may be chosen; empty if all may.
        action, reward, discount: [B].
        weight: float32 [B]; empty if all rows count the same.
        huber: the Huber loss of delta 1 instead of the squared one.
        output_grad: float32 [B, A], zero; set at the rows' actions.
        priority: float32 [B]; set to the size of each row's error.

    Returns:
        (weighted mean of the loss, mean value of the rows' actions).
    """
    rows, actions = q_values.shape
    total = mean = 0.0
    for b in range(rows):
        best = -1
        for a in range(actions):
            if len(allowed) and not allowed[b, a]:
                continue
            if best < 0 or values[b, a] > values[b, best] or (np.isnan(values[b, a]) and not np.isnan(values[b, best])):
                best = a
        best = max(best, 0)
        target = reward[b] + (discount[b] * after[b, best] if discount[b] > 0 else np.float32(0))
        q = q_values[b, action[b]]
        error = q - target
        slope = np.float32(1 if error > 1 else -1) if huber and abs(error) > 1 else error
        factor = weight[b] if len(weight) else np.float32(1)
        total += factor * (slope * (error - np.float32(0.5) * slope))
        mean += q
        output_grad[b, action[b]] = factor * slope / np.float32(rows)
        priority[b] = abs(error)
    return total / rows, mean / rows


@_compiled
def policy_gradient(  # type: ignore[no-untyped-def]
    logits, value, action, log_prob, advantage, target, clip, value_cost, entropy_cost, logits_grad, value_grad
):
    """PPO's or A2C's loss of B rows, and its derivatives by the two networks' outputs.

    Args:
        logits, value: float32 [B, A] and [B, 1].
        action, log_prob, advantage, target: [B]; the log-probability is that of acting.
        clip: PPO's epsilon; negative for A2C, whose policy loss is the log-probability times minus the advantage.
        logits_grad, value_grad: float32 [B, A] and [B, 1], set.

    Returns:
        The means of loss, policy loss, squared error of the value, entropy, KL divergence and share of clipped rows.
    """
    rows, actions = logits.shape
    share, cost, one = np.float32(1 / rows), np.float32(entropy_cost), np.float32(1)
    low, high = one - np.float32(clip), one + np.float32(clip)  # in float64, half of the rows would seem clipped
    policies = errors = entropies = divergence = np.float64(0)
    beyond = 0
    for b in range(rows):
        logs = logits_grad[b]  # until the derivatives take their place
        _log_softmax(logits[b], logs)
        entropy = np.float32(0)
        for a in range(actions):
            entropy -= np.exp(logs[a]) * logs[a]
        chosen, gain = logs[action[b]], logs[action[b]] * advantage[b]
        slope = -advantage[b]  # of the policy loss by `chosen`
        if clip >= 0:
            log_ratio = chosen - log_prob[b]
            ratio = np.exp(log_ratio)
            gain = ratio * advantage[b]
            limited = min(max(ratio, low), high) * advantage[b]
            slope = 0 * gain if gain > limited else -gain  # d ratio / d log_prob = ratio; NaN stays NaN
            gain = limited if limited < gain else gain
            divergence += ratio - one - log_ratio
            beyond += abs(ratio - one) > clip
        error = value[b, 0] - target[b]
        policies -= gain
        errors += error * error
        entropies += entropy
        value_grad[b, 0] = np.float32(2 * value_cost) * error * share
        for a in range(actions):  # d entropy / d logits = -pi (log pi + entropy), d log pi(c) / d logits = [c] - pi
            grad = np.exp(logs[a]) * (cost * (logs[a] + entropy) - slope)
            logs[a] = (grad + slope if a == action[b] else grad) * share
    loss = (policies + value_cost * errors - entropy_cost * entropies) / rows
    return loss, policies / rows, errors / rows, entropies / rows, divergence / rows, beyond / rows


@compiled
def draw(logits, uniform, action, log_prob):  # type: ignore[no-untyped-def]
    """Draws actions as `rl.distributions.Categorical.sample` does; every action is allowed.

    Args:
        logits, uniform: float32 [B, A] and [B, 1]; the numbers lie in [0, 1).
        action, log_prob: int64 and float32 [B], set.
    """
    logs = np.empty(logits.shape[1], np.float32)
    for b in range(len(logits)):
        _log_softmax(logits[b], logs)
        total = np.float32(0)
        for a in range(len(logs)):
            total += np.exp(logs[a])
        below, cumulated, chosen = uniform[b, 0] * total, np.float32(0), 0
        for a in range(len(logs)):
            cumulated += np.exp(logs[a])
            chosen += cumulated <= below
        action[b], log_prob[b] = chosen, logs[chosen]


@compiled
def _log_softmax(logits, logs):  # type: ignore[no-untyped-def]
    """Sets `logs` [A] to the logarithm of the softmax of `logits` [A]."""
    top, total = logits[0], np.float32(0)
    for a in range(1, len(logits)):
        top = max(top, logits[a])
    for a in range(len(logits)):
        total += np.exp(logits[a] - top)
    size = np.log(total)
    for a in range(len(logits)):
        logs[a] = logits[a] - top - size
