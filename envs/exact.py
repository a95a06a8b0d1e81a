"""Exact models of environments with finitely many states: Gymnasium's toy text by its table, Blackjack by its rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers
from gymnasium.envs.toy_text.blackjack import BlackjackEnv, deck, score

from rl.tables import TableModel

PLAIN = (wrappers.PassiveEnvChecker, wrappers.OrderEnforcing, wrappers.TimeLimit)
"""Wrappers that leave observations, rewards and transitions as they are."""


CLASSIC = "gymnasium.envs.classic_control."
"""Where the entry points of Gymnasium's classic control begin."""


class KnownModel:
    """An environment's model, built at its first use.

    state: the number of the state that an environment is in.
    """

    def __init__(self, build: Callable[[], TableModel], state: Callable[[Any], int]) -> None:
        self._build, self.state = build, state

    @cached_property
    def table(self) -> TableModel:
        return self._build()


def is_plain(env: gymnasium.Env) -> bool:
    """Whether no wrapper of the environment may change what happens."""
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in PLAIN:
            return False
        env = env.env
    return True


def known_model(env: gymnasium.Env) -> KnownModel | None:
    """The model of an environment that has a table `P` of transitions, or of Blackjack; else None.

    None as well if a wrapper may change what happens, and for rules that the state does not determine: Taxi's fickle
    passenger, and Blackjack's extra pay for a natural.
    """
    if not is_plain(env):
        return None
    env = env.unwrapped
    if type(env) is BlackjackEnv:
        return None if env.natural or env.sab else KnownModel(blackjack, lambda env: _shown(*env._get_obs()))
    start = getattr(env, "initial_state_distrib", None)
    if not isinstance(getattr(env, "P", None), dict) or start is None or getattr(env, "fickle_passenger", False):
        return None
    return KnownModel(lambda: from_table(env), lambda env: int(env.s))


def from_table(env: Any) -> TableModel:
    """The model of an environment with `P[state][action]`, a list of (probability, next state, reward, terminated)."""
    states, actions = len(env.P), len(env.P[0])
    rows = [(s * actions + a, *outcome) for s in range(states) for a in range(actions) for outcome in env.P[s][a]]
    pair, probability, after, reward, over = (np.array(column) for column in zip(*rows, strict=True))
    mask = getattr(env, "action_mask", None)
    return TableModel(
        states,
        actions,
        pair,
        probability.astype(np.float64),
        after,
        reward.astype(np.float64),
        1.0 - over.astype(np.float64),
        np.asarray(env.initial_state_distrib, np.float64),
        None if mask is None else np.array([mask(s) for s in range(states)], bool),
    )


CARDS = {card: count / len(deck) for card, count in Counter(deck).items()}
"""Card -> probability: the deck is infinite."""


def blackjack() -> TableModel:
    """Blackjack-v1 with natural=False and sab=False. State: (sum * 11 + dealer's card) * 2 + usable ace."""
    rows, start = [], np.zeros(32 * 11 * 2)
    for hand, chance in _hands().items():
        for card, p in CARDS.items():
            start[_number(*hand, card)] += chance * p
    for dealer in CARDS:
        for total in range(4, 22):
            for ace in (0, 1):
                if ace and total < 12:
                    continue
                pair = 2 * _number(total, ace, dealer)
                for result, p in _dealer(dealer).items():
                    rows.append((pair, p, pair // 2, float(np.sign(total - result)), 0.0))
                for card, p in CARDS.items():
                    now, usable = _drawn(total, ace, card)
                    bust = now > 21
                    rows.append((pair + 1, p, _number(now, usable, dealer), -float(bust), 1.0 - bust))
    array = np.array(rows)
    pairs, after = array[:, 0].astype(np.int64), array[:, 2].astype(np.int64)
    return TableModel(len(start), 2, pairs, array[:, 1], after, array[:, 3], array[:, 4], start)


def _number(total: int, ace: int, dealer: int) -> int:
    return (total * 11 + dealer) * 2 + ace


def _shown(total: int, dealer: int, ace: int) -> int:
    return _number(total, ace, dealer)


def _drawn(total: int, ace: int, card: int) -> tuple[int, int]:
    """Sum and usable ace of a hand after one more card."""
    hard, has_ace = total - 10 * ace + card, ace or card == 1
    usable = int(has_ace and hard + 10 <= 21)
    return hard + 10 * usable, usable


def _hands() -> dict[tuple[int, int], float]:
    """(sum, usable ace) of two cards -> probability."""
    found: Counter[tuple[int, int]] = Counter()
    for first, p in CARDS.items():
        for second, q in CARDS.items():
            found[_drawn(*_drawn(0, 0, first), second)] += p * q  # type: ignore[assignment]
    return dict(found)


@cache
def _dealer(card: int) -> dict[int, float]:
    """The dealer's final score, 0 if bust, from the card that shows -> probability."""
    result: Counter[int] = Counter()
    waiting = {_drawn(*_drawn(0, 0, card), hidden): p for hidden, p in CARDS.items()}
    while waiting:
        hands: Counter[tuple[int, int]] = Counter()
        for (total, ace), p in waiting.items():
            if total >= 17:
                result[score([total])] += p  # type: ignore[assignment]
                continue
            for drawn, q in CARDS.items():
                hands[_drawn(total, ace, drawn)] += p * q  # type: ignore[assignment]
        waiting = dict(hands)
    return dict(result)
