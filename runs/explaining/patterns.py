"""The panel on an n-tuple network: the patterns that move its value, where a value comes from, its training."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from agents.base import Agent
from envs.boards.game import Game
from rl.networks.tuples import TupleNetwork
from rl.schedules import value_at
from rl.seeding import generator
from rl.tuples import STATES
from runs.comparing.league.arena import play
from runs.comparing.league.players import Minimax, Thoughts
from runs.explaining.subject import NotShown, Subject

GAMES = 200  # of self-play, whose positions all parts of the panel read
READS = 4_000_000  # weights that are read for the patterns; larger networks see fewer of the positions
SHOWN = 6  # patterns of each sign, and positions of one game
MATCHES, DEPTH, PLIES = 100, 2, 4  # games at each checkpoint, plies of the opponent's search, random plies before


class Played(NamedTuple):
    """The P positions of some games for which the network is asked."""

    rows: np.ndarray  # `envs.boards.rules.STATE` [P]
    game: np.ndarray  # int64 [P]: the number of the game
    action: np.ndarray  # int64 [P]: what was played
    outcome: np.ndarray  # int8 [P], for the player to move: 1 won, 0 drawn, -1 lost


def patterns_panel(subject: Subject) -> dict[str, Any]:
    """Patterns, positions and one row of numbers for each checkpoint that the time allows, as plain JSON.

    Raises `NotShown` for an agent whose network has no tuples.
    """
    agent: Any = subject.agent
    network = require_tuples(agent)
    board: Any = agent.model.board
    played = self_play(agent, subject.run.env_config.options.get("opening", 0), subject.run.seed)
    shown, rows = one_game(agent, played), through_training(subject, played)
    tuples = network.weights.shape[1]
    return {
        "height": board.height, "width": board.width, "tuples": tuples, "length": network.cells.shape[2],
        "symmetries": len(network.cells), "games": GAMES, "positions": len(played.rows),
        "patterns": patterns(agent, played.rows), "shown": shown, "rows": rows,
        "largest": max(abs(x) for one in shown for x in one["shares"]), "matches": MATCHES, "depth": DEPTH,
        "checkpoints": sum(step > 0 for step in subject.checkpoints),
    }  # fmt: skip


def require_tuples(agent: Agent) -> TupleNetwork:
    """The agent's network. Raises `NotShown` if it has no tuples."""
    if not isinstance(agent.network, TupleNetwork):
        raise NotShown("its network has no tuples of cells")
    return agent.network


def self_play(agent: Any, opening: int, seed: int, count: int = GAMES) -> Played:
    """The agent's training play: random openings, the best value after each move, a share `epsilon` of random moves.

    Positions whose outcome one ply proves are left out: there the network is neither asked nor taught. Raises
    `NotShown` if none is left.
    """
    game, rng = Game(agent.model.name, count), generator(seed, "explain", "games")
    left = rng.integers(0, opening + 1, count)  # moves of each opening
    epsilon, kept, ply = value_at(agent.config.epsilon, agent.step), list[tuple[np.ndarray, ...]](), 0
    while not game.ended.all():
        (on,) = np.nonzero(~game.ended)
        q, _, settled = agent.model.look_ahead(game.rows[on], 1, agent.network.net)
        random = (ply < left[on]) | (rng.random(len(on)) < epsilon)
        drawn = np.where(q > -np.inf, rng.random(q.shape), -1.0)
        action = np.zeros(count, np.int64)
        action[on] = np.where(random[:, None], drawn, q).argmax(axis=1)
        asked = on[~settled & (ply >= left[on])]
        kept.append((game.rows[asked], asked, action[asked]))
        game.play(action, ~game.ended)
        ply += 1
    rows, which, actions = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    if not len(rows):
        raise NotShown("no game had a position for which the network is asked")
    winner = game.winner[which]
    outcome = np.where(winner < 0, 0, np.where(winner == rows["player"], 1, -1)).astype(np.int8)
    return Played(rows, which, actions, outcome)


def stones_of(model: Any, rows: np.ndarray) -> np.ndarray:
    """What stands on each cell, row by row, int64 [N, cells]: 0 nothing, 1 a stone of the player to move, 2 another."""
    (boards,) = model.observe(rows)[0].values()
    return boards.reshape(len(rows), -1, 2) @ np.array([1, 2])  # type: ignore[no-any-return]


def places(network: TupleNetwork, stones: np.ndarray) -> np.ndarray:
    """The places in the flat weights that are read for each position, int64 [N, symmetries * tuples].

    A second, plain way beside the compiled loops: parity of the stones, tuple, number of the pattern in base 3.
    """
    _, tuples, size = network.weights.shape
    cells = network.cells.flatten(0, 1).numpy()  # [slots, length]
    pattern = np.zeros((len(stones), len(cells)), np.int64)
    for k in range(cells.shape[1]):
        pattern += stones[:, cells[:, k]] * STATES**k
    parity = (stones > 0).sum(axis=1) % 2
    return (parity[:, None] * tuples + np.arange(len(cells)) % tuples) * size + pattern


def patterns(agent: Any, rows: np.ndarray) -> dict[str, Any]:
    """The patterns that move the value most, `SHOWN` good and as many bad ones for the player to move.

    The effect of a pattern is its weight times the root of how often it is read in a position: close to the root mean
    square of what it adds to a sum. Without the root, patterns of one or no stone fill the list. A pattern without a
    stone is left out.
    """
    network: TupleNetwork = agent.network
    (_, tuples, size), slots = network.weights.shape, network.cells[..., 0].numel()
    most = min(len(rows), max(1, READS // slots))
    stones = stones_of(agent.model, rows[np.linspace(0, len(rows) - 1, most).astype(int)])
    place, count = np.unique(places(network, stones), return_counts=True)
    weight = network.weights.numpy().reshape(-1)[place]
    effect = np.where(place % size > 0, weight * np.sqrt(count / most), 0.0)

    def shown(k: int) -> dict[str, Any]:
        parity, row = divmod(int(place[k]) // size, tuples)
        return {
            "tuple": row, "cells": network.cells[0, row].tolist(),
            "table": ("even", "odd")[parity] + " number of stones",
            "stones": [int(place[k]) % size // STATES**j % STATES for j in range(network.cells.shape[2])],
            "weight": float(weight[k]), "count": int(count[k]), "met": int(count[k]) / most,
            "effect": float(effect[k]),
        }  # fmt: skip

    order = np.argsort(effect, kind="stable")
    return {
        "read": most, "seen": len(place), "of": network.weights.numel(),
        "good": [shown(k) for k in order[::-1][:SHOWN] if effect[k] > 0],
        "bad": [shown(k) for k in order[:SHOWN] if effect[k] < 0],
    }  # fmt: skip


def shares(network: TupleNetwork, stones: np.ndarray) -> np.ndarray:
    """What each cell adds to the sum, float64 [N, cells]: a weight counts in equal parts for the cells of its tuple."""
    cells = network.cells.flatten(0, 1).numpy()
    read = network.weights.numpy().reshape(-1)[places(network, stones)].astype(np.float64) / cells.shape[1]
    found = np.zeros(stones.shape)
    for k in range(cells.shape[1]):
        np.add.at(found.T, cells[:, k], read.T)
    return found


def one_game(agent: Any, played: Played) -> list[dict[str, Any]]:
    """Up to `SHOWN` positions of the game whose length is in the middle, with the values after each move."""
    games, lengths = np.unique(played.game, return_counts=True)
    middle = games[np.argsort(lengths, kind="stable")[len(games) // 2]]
    (which,) = np.nonzero(played.game == middle)
    stride = max(1, (len(which) - 1) // (SHOWN - 1))
    which = which[:: -(stride - (stride % 2 == 0))][:SHOWN][::-1]  # an odd stride shows both players; the end is shown
    rows, network = played.rows[which], agent.network
    stones, (q, _, _) = stones_of(agent.model, rows), agent.model.look_ahead(rows, 1, network.net)
    found = []
    for row, own, seen, cells, action in zip(
        rows, q, stones, shares(network, stones), played.action[which], strict=True
    ):
        moves = [
            {"name": agent.model.action_name(int(k)), "value": float(own[k]), "played": bool(k == action)}
            for k in np.argsort(-own, kind="stable")
            if own[k] > -np.inf
        ]
        total = float(cells.sum())
        found.append({
            "stones": seen.tolist(), "first": bool(row["player"] == 0), "shares": cells.tolist(), "sum": total,
            "value": float(np.tanh(total)), "moves": moves,
        })  # fmt: skip
    return found


class _ByValue:
    """Plays the move after which the value is best; equal moves are drawn."""

    name = "value alone"

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        best = _best(self.agent, states.rows)
        return np.where(best, rng.random(best.shape), -1.0).argmax(1)

    def thoughts(self, states: Game) -> Thoughts:
        return {}


def through_training(subject: Subject, played: Played) -> list[dict[str, Any]]:
    """One row of numbers for the untrained network and for each checkpoint that half of the time allows."""
    newest: Any = subject.agent
    model, seed, last = newest.model, subject.run.seed, _best(newest, played.rows)
    positions = np.stack([played.rows["mine"], played.rows["theirs"]], axis=1)
    begin = np.repeat(_openings(model.name, MATCHES // 2, seed), 2, axis=0)
    seats, found = np.tile([[0, 1], [1, 0]], (MATCHES // 2, 1)), list[dict[str, Any]]()
    newest.network.values(positions[:1])  # compiled before the first row is timed
    for agent in subject.through_training(0.5 * (subject.until - time.monotonic())):
        network, best = require_tuples(agent), _best(agent, played.rows)
        agrees = (best & last).sum(axis=1) / best.sum(axis=1)  # equally good moves share the choice
        result = play(model.name, [_ByValue(agent), Minimax(DEPTH)], seats, begin, seed).result
        own = np.where(seats[:, 0] == 0, result, -result)
        found.append({
            "step": agent.step,
            "error": {"mean squared difference": float(np.mean((network.values(positions) - played.outcome) ** 2))},
            "agrees": {"same best move": float(agrees.mean())},
            "used": {"weights that are not zero": int(network.weights.count_nonzero()) / network.weights.numel()},
            "strength": {"won": int((own > 0).sum()), "drawn": int((own == 0).sum())},
        })  # fmt: skip
    return found


def _openings(name: str, count: int, seed: int) -> np.ndarray:
    """Random moves, int64 [count, K]. `arena.openings` searches for quiet ones, which takes seconds in Othello."""
    games = Game(name, count)
    games.rows["rng"] = generator(seed, "explain", "openings").integers(1, 1 << 62, count)
    plies = min(PLIES, games.board.max_plies // 4)
    for _ in range(plies):
        games.play(games.random_actions())
    return games.moves[:, :plies].astype(np.int64)


def _best(agent: Any, rows: np.ndarray) -> np.ndarray:
    """The moves after which the value is best, bool [N, A]; several if they are equal."""
    q, _, _ = agent.model.look_ahead(rows, 1, agent.network.net)
    return q == q.max(axis=1, keepdims=True)  # type: ignore[no-any-return]
