"""`rl league`: the checkpoints of runs and players of known strength play each other; Elo ratings with intervals.

league(["runs/out/connect_four"], games=40)
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agents
from rl.errors import InputError
from rl.storage import plain, write_atomic
from runs.comparing.league import arena, elo
from runs.comparing.league.page import caution, page
from runs.comparing.league.players import Player, env_of, game_of, generations, load_player, make_player
from runs.folder.places import OUT
from runs.folder.run_folder import resolve
from runs.folder.trust import Trust
from runs.recipe import from_document

ANCHOR = "random"
GAMES = 40
MOST = 8
"""Checkpoints of one run that play: the newest, the oldest, and others evenly between them."""


def league(
    runs: Sequence[str | Path],
    *,
    games: int = GAMES,
    players: Sequence[str] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Every pair of players plays `games` games, half of them from each side of the same random openings.

    runs: run folders, all of whose checkpoints play (at most 8 of a run), single checkpoints, or the name of a game.
    players: the players of known strength; by default all that know the game. Random play, rated 0, always takes part.
    out: the folder for `league.json`, `report.html` and `report.md`.

    Returns what `league.json` holds and the paths. Raises `InputError` in one line for a run of another game.
    """
    if games < 2 or games % 2:
        raise InputError(f"games must be an even number, because each opening is played from both sides; got {games}")
    game = _game(runs, trust)
    folder = _folder(out, game)
    field = entrants(runs, game, players, trust)
    begun = time.perf_counter()
    result = rate(game, field, games, seed, quiet)
    result |= {"runs": [str(run) for run in runs], "seconds": round(time.perf_counter() - begun, 3)}
    shown = page(result)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "league.json", json.dumps(plain(result), allow_nan=False).encode())
    write_atomic(folder / "report.html", shown.render("html").encode())
    write_atomic(folder / "report.md", shown.render("md").encode())
    paths = {"html": "report.html", "markdown": "report.md", "file": "league.json"}
    return {**result, **{name: str(folder / file) for name, file in paths.items()}}


def rate(game: str, players: Sequence[Player], games: int, seed: int = 0, quiet: bool = True) -> dict[str, Any]:
    """The games and ratings of a league as plain JSON: `players`, the strongest first, and the cross table `scores`."""
    pairs = np.array(list(itertools.combinations(range(len(players)), 2)))
    opening = arena.openings(game, games // 2, seed)
    seats = np.stack([pairs, pairs[:, ::-1]], axis=1)  # [pairs, 2, 2]: who moves first and second
    seats = np.broadcast_to(seats[:, None], (len(pairs), games // 2, 2, 2)).reshape(-1, 2)
    starts = np.broadcast_to(opening[None, :, None], (len(pairs), games // 2, 2, opening.shape[1]))
    match = arena.play(game, players, seats, starts.reshape(-1, opening.shape[1]), seed, _teller(len(seats), quiet))
    first = match.result.reshape(len(pairs), games // 2, 2)
    scores = np.stack([1 + first[..., 0], 1 - first[..., 1]], axis=-1) / 2  # of the pair's first player
    points, played = elo.tables(scores.sum((1, 2)), games, pairs, len(players))
    anchor = next(k for k, player in enumerate(players) if player.name == ANCHOR)
    rating = elo.ratings(points, played, anchor)
    bounds = elo.intervals(scores, pairs, len(players), anchor, seed=seed)
    order = np.argsort(-rating, kind="stable")
    rows = []
    for k in order.tolist():
        mine = [match.result[seats[:, 0] == k], -match.result[seats[:, 1] == k]]
        every = np.concatenate(mine)
        rows.append(
            {
                "name": players[k].name,
                "elo": float(rating[k]),
                "interval": bounds[k].tolist(),
                "games": len(every),
                "wins": int((every > 0).sum()),
                "draws": int((every == 0).sum()),
                "losses": int((every < 0).sum()),
                "first": float((1 + mine[0]).mean() / 2),
                "second": float((1 + mine[1]).mean() / 2),
                "seconds_per_move": float(match.seconds[k] / max(1, match.moves[k])),
            }
        )
    cross = (points / np.where(played, played, np.nan))[np.ix_(order, order)]
    return {
        "schema": 1,
        "game": game,
        "anchor": ANCHOR,
        "games": games,
        "opening_plies": int(opening.shape[1]),
        "seed": seed,
        "players": rows,
        "scores": [[None if np.isnan(x) else x for x in row] for row in cross.tolist()],
    }


def standard(game: str) -> list[str]:
    """The players of known strength of a game, random play first."""
    known = [ANCHOR, *(f"minimax:{depth}" for depth in range(1, 7))]
    if "mcts" in agents.names():
        known += ["mcts:50", "mcts:200", "mcts:800"]
    return [*known, "solver"] if game in ("ConnectFour", "TicTacToe") else known


def entrants(runs: Sequence[str | Path], game: str, players: Sequence[str] | None, trust: Trust) -> list[Player]:
    """The players of a league. Raises `InputError` if there are fewer than two or two have the same name."""
    names = standard(game) if players is None else [ANCHOR, *(name for name in players if name != ANCHOR)]
    field: list[Player] = [make_player(name, game, trust=trust) for name in names]
    for run in runs:
        if str(run) == game or str(run) == env_of(game):
            continue
        checkpoints = generations(run)
        chosen = np.unique(np.linspace(0, len(checkpoints) - 1, min(MOST, len(checkpoints))).round().astype(int))
        field += [load_player(checkpoints[k], game, trust=trust) for k in chosen]
    twice = [player.name for k, player in enumerate(field) if player.name in {other.name for other in field[:k]}]
    if twice:
        raise InputError(f"{twice[0]} takes part twice: name each player once")
    if len(field) < 2:
        raise InputError("a league needs two players: name a run, or --players minimax:2")
    return field


def _game(runs: Sequence[str | Path], trust: Trust) -> str:
    """The game of the first run. Raises `InputError` if there is none or the runs are of several games."""
    if not runs:
        raise InputError("name a run: rl league RUN, or a game for the standard players alone: rl league ConnectFour")
    found: dict[str, str | Path] = {}
    for run in runs:
        here = Path(run)
        if here.exists() or (here.name != str(run) and here.parent.exists()):  # a missing one is refused
            located = resolve(run)
            env = from_document(located.manifest["extra"], located.checkpoint / "manifest.json", trust).env
            found.setdefault(game_of(env), run)
        else:
            found.setdefault(game_of(str(run)), run)
    if len(found) > 1:
        (game, first), (other, second) = list(found.items())[:2]
        raise InputError(f"{second} plays {other}, {first} plays {game}: a league has one game")
    return next(iter(found))


def _folder(out: str | Path | None, game: str) -> Path:
    """The folder for the results. Raises `InputError` if it is a file or holds something else than a league."""
    folder = OUT / f"league_{game}_{time.strftime('%Y%m%d-%H%M%S')}" if out is None else Path(out)
    if folder.is_file():
        raise InputError(f"--out {folder} is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "league.json").is_file():
        raise InputError(f"--out {folder} holds other files: name a new folder")
    return folder


def _teller(total: int, quiet: bool) -> Any:
    """Says on standard error how many games have ended, about every five seconds."""
    spoken = time.monotonic()

    def tell(ended: int) -> None:
        nonlocal spoken
        if not quiet and time.monotonic() - spoken > 5:
            spoken = time.monotonic()
            print(f"{ended:,} of {total:,} games have ended", file=sys.stderr, flush=True)

    return tell


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a terminal."""
    rows = result["players"]
    wide = max(len(row["name"]) for row in rows)
    shown = [f"{'player':{wide}}    Elo   95% interval   score   first  second"]
    for row in rows:
        score = (row["wins"] + row["draws"] / 2) / row["games"]
        low, high = row["interval"]
        shown.append(
            f"{row['name']:{wide}}  {row['elo']:5.0f}  {low:6.0f} to {high:5.0f}  {score:6.1%}  {row['first']:6.1%}  "
            f"{row['second']:6.1%}"
        )
    return [*shown, *filter(None, [caution(result)]), f"page: {result['html']}"]
