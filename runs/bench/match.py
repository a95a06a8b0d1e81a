"""A run against a known player of its board game, both sides of each opening: wins, draws and losses.

python -m runs.bench.match RUN --against minimax:5 --simulations 0 100 > runs/results/strength/NAME.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.boards.game import Game
from rl.errors import InputError
from runs.bench.strength import player
from runs.comparing.league.arena import PLIES, openings, play
from runs.comparing.league.players import Player, Thoughts, game_of, make_player
from runs.folder.failure import exit_status
from runs.training.evaluation import load_run


class Bare:
    """The agent with so many simulations a move, without noise; 0 is its network alone."""

    def __init__(self, agent: Any, simulations: int) -> None:
        self.name, self._choose = f"{agent.name}:{simulations}", player(agent, simulations)

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self._choose(*states.observe()), np.int64)

    def thoughts(self, states: Game) -> Thoughts:
        return {}


def match(
    run: str | Path,
    against: str,
    simulations: Sequence[int],
    games: int = 100,
    seed: int = 0,
    plies: int = PLIES,
    beside: str | None = None,
) -> dict[str, Any]:
    """The results of `games` games for each number of simulations, as plain JSON.

    beside: another player in the same games. What `solver` wins of Connect Four is the most that can be won.

    The openings are random, of `plies` moves, with no forced win in sight; each is played from both sides. Raises
    `InputError` if the agent does not plan, on an odd number of games or no plies, or for an unknown player.
    """
    agent, settings = load_run(run, device="cpu")
    if not hasattr(agent, "plan"):
        raise InputError(f"{run}: a match is for agents that plan, not {agent.name}: use rl league")
    if games < 2 or games % 2:
        raise InputError(f"games must be an even number, two for each opening, got {games}")
    if plies < 1:
        raise InputError(f"plies must be at least 1, got {plies}: the same game would be played again and again")
    game = game_of(settings.env)
    begin = np.repeat(openings(game, games // 2, seed, plies), 2, axis=0)
    seats = np.tile([[0, 1], [1, 0]], (games // 2, 1))

    def played(player: Player) -> dict[str, int]:
        result = play(game, [player, make_player(against, game)], seats, begin, seed).result
        own = np.where(seats[:, 0] == 0, result, -result)
        return {
            "won": int((own > 0).sum()),
            "drawn": int((own == 0).sum()),
            "lost": int((own < 0).sum()),
            "won_first": int((own[::2] > 0).sum()),
            "won_second": int((own[1::2] > 0).sum()),
        }

    found: dict[str, Any] = {"simulations": {str(many): played(Bare(agent, many)) for many in simulations}}
    if beside:
        found["beside"] = {beside: played(make_player(beside, game))}
    about = {
        "agent": agent.name,
        "step": agent.step,
        "against": against,
        "games": games,
        "plies": begin.shape[1],
        "seed": seed,
    }
    return {"schema": 1, "env": settings.env, **about, **found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="match", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", help="a run folder or a checkpoint")
    parser.add_argument("--against", default="minimax:5", help="random, minimax:DEPTH, mcts:SIMULATIONS or solver")
    parser.add_argument("--simulations", type=int, nargs="+", default=[0, 100])
    parser.add_argument("--games", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plies", type=int, default=PLIES, help="random moves before a game begins")
    parser.add_argument("--beside", help="another player in the same games: solver shows what perfect play wins")
    options = parser.parse_args()
    measured = match(**vars(options))
    named = {f"{many:>4} simulations": r for many, r in measured["simulations"].items()} | measured.get("beside", {})
    for name, r in named.items():
        print(f"{name}: {r['won']} won, {r['drawn']} drawn, {r['lost']} lost", file=sys.stderr)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    sys.exit(exit_status(main))
