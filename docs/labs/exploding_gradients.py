"""Lab: exploding gradients. Read exploding_gradients.md first, then repair `clip` below.

python docs/labs/exploding_gradients.py        trains a recurrent network to add two numbers far apart
"""

from __future__ import annotations

from collections.abc import Callable

import lab  # type: ignore[import-not-found]
import torch
from torch import nn

STEPS = 40  # of a sequence
HIDDEN = 32
BATCH = 64
UPDATES = 300
EVERY = 25
LR = 0.02
MOST = 1.0  # norm of the gradient of all parameters together
Clip = Callable[[list[nn.Parameter]], None]


def clip(parameters: list[nn.Parameter]) -> None:
    """Called after backward, before the optimizer's step."""
    # HOLE: nothing is clipped. Scale all gradients by one number so that their joint norm is at most MOST.


def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences [STEPS, BATCH, 1] of zeros with one number in each half, and the sum of both numbers, [BATCH]."""
    x = torch.zeros(STEPS, BATCH, 1)
    for half in range(2):
        at = torch.randint(STEPS // 2, (BATCH,), generator=generator) + half * STEPS // 2
        x[at, torch.arange(BATCH), 0] = torch.rand(BATCH, generator=generator)
    return x, x.sum((0, 2))


def learn(clip: Clip = clip) -> list[float]:
    """The loss, a mean over `EVERY` updates; ends if it is no number. Guessing the mean gives 0.167."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    rnn, head = nn.RNN(1, HIDDEN, nonlinearity="relu", bias=False), nn.Linear(HIDDEN, 1)
    nn.init.eye_(rnn.weight_hh_l0)  # h_t = relu(W h_(t-1) + ...): at first W is the identity (Le et al. 2015)
    nn.init.normal_(rnn.weight_ih_l0, std=0.1)
    parameters = [*rnn.parameters(), *head.parameters()]
    optimizer, losses, curve = torch.optim.SGD(parameters, LR), [], []
    for _ in range(UPDATES):
        x, y = batch(generator)
        loss = (head(rnn(x)[0][-1]).squeeze(1) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        clip(parameters)
        optimizer.step()
        losses.append(float(loss.detach()))
        if len(losses) == EVERY:
            curve.append(sum(losses) / EVERY)
            losses = []
            if not curve[-1] < 1e6:
                break
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if not curve[-1] < 1e6:
        return f"after {len(curve) * EVERY} updates the loss is no number: one step threw the weights away"
    if curve[-1] > 0.12:
        return f"the loss begins at {curve[0]:.3g} and ends at {curve[-1]:.3f}; guessing the mean gives 0.167"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
