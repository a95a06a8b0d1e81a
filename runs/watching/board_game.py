"""A board game between a person and a player: moves, undo, hints, strengths and the record, without any display.

A record is a JSON file with the game, the names of both sides as the game ended, the moves and who made each of them;
`read_record` reads and checks it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from envs.boards.engine import load_board
from envs.boards.game import Game
from envs.boards.rules import WIN
from rl.errors import InputError
from rl.storage import CheckpointError, read_json, write_json
from runs.comparing.league.players import (
    SOLVED_FROM,
    Perfect,
    Planner,
    Player,
    Thoughts,
    load_player,
    make_player,
    strengths,
)
from runs.folder.places import OUT
from runs.folder.trust import Trust

RECORD = "board game"
YOU = "you"
"""The person's name in a record."""
MOST_SIMULATIONS = 100_000
SHOWN = 9
"""Moves whose bars are shown in games with more actions."""
LINE = 10
"""Moves of a principal line that are shown."""
LONG = 24
"""Characters of the longest bar."""


class BoardGame:
    """One person against one player, game after game.

    seat: 0 if the person moves first, 1 if second. vs: a player as `make_player` names it.
    """

    def __init__(self, game: str, vs: str, seat: int = 0, seed: int = 0, trust: Trust = False) -> None:
        self.game, self.trust = Game(game), trust
        self._rng = np.random.default_rng(seed)
        self.levels, self.level = strengths(vs)
        self._players: dict[str, Player] = {}
        self.seen: Thoughts = {}
        """What the opponent saw when it chose its latest move."""
        self.line = ""
        """The principal line of what it saw, moves by name; empty if it does not search."""
        self.helped = False
        """Whether the person undid a move or saw a hint in this game."""
        self._movers: list[str] = []
        """Who made each move of this game."""
        self._perfect: Perfect | None = None
        _ = self.opponent  # a wrong name is refused at once
        self.new(seat)

    @property
    def opponent(self) -> Player:
        name = self.levels[self.level]
        if name not in self._players:
            loaded = Path(name).exists()
            game = self.game.name
            self._players[name] = load_player(name, game, trust=self.trust) if loaded else make_player(name, game)
        return self._players[name]

    def new(self, seat: int) -> None:
        """The next game, with the person at `seat`."""
        self.game.reset()
        self.seat, self.seen, self.line, self.helped, self._movers = seat, {}, "", False, []
        self.game.rows["seat"] = seat

    @property
    def over(self) -> bool:
        return bool(self.game.ended[0])

    @property
    def your_turn(self) -> bool:
        return not self.over and int(self.game.player[0]) == self.seat

    @property
    def moves(self) -> list[int]:
        return self.game.moves[0, : int(self.game.rows["ply"][0])].tolist()

    def play(self, action: int) -> None:
        """The person's move. Raises `InputError` for an illegal one."""
        self.game.play(action)
        self._movers.append(YOU)

    def reply(self) -> int:
        """The opponent's move."""
        state = self._copy()
        action = int(self.opponent.moves(state, self._rng)[0])
        self.seen = self._thoughts()
        self.game.play(action)
        self._movers.append(_described(self.opponent))
        return action

    def undo(self) -> bool:
        """Takes back the person's latest move and the reply to it. False if the person has not moved."""
        plies = len(self.moves)
        back = 2 if self.your_turn else 1 if int(self.game.player[0]) != self.seat else 2
        if plies < back or plies - back < self.seat:
            return False
        for _ in range(back):
            self.game.undo()
        del self._movers[plies - back :]
        self.seen, self.line, self.helped = {}, "", True
        return True

    def hint(self) -> Thoughts:
        """What the opponent sees in the person's position."""
        self.helped = True
        return self._thoughts()

    def _thoughts(self) -> Thoughts:
        seen = self.opponent.thoughts(self._copy())
        names = self.game.board.action_names
        moves = [names[move].removeprefix("column ") for move in getattr(self.opponent, "line", ())]
        self.line = " ".join(moves[:LINE]) + (" ..." if len(moves) > LINE else "")
        return seen

    def perfect(self) -> Thoughts:
        """The score of every move by perfect play. Raises `InputError` if no solver knows the game or position."""
        if self._perfect is None:
            self._perfect = Perfect(self.game.name)
        found = self._perfect.thoughts(self._copy())
        if not found:
            moves = "".join(str(move + 1) for move in self.moves)
            raise InputError(
                f"with fewer than {SOLVED_FROM} stones the solver takes minutes outside of its opening book: "
                f"rl solve ConnectFour {moves}".rstrip()
            )
        self.helped, self.line = True, ""
        return found

    def stronger(self, by: int) -> bool:
        """Changes the opponent's strength. False if there is no such level."""
        if not 0 <= self.level + by < len(self.levels):
            return False
        self.level += by
        return True

    def set_simulations(self, many: int) -> None:
        """Sets the budget of an opponent that searches. Raises `InputError` for any other opponent."""
        if not isinstance(self.opponent, Planner):
            raise InputError(f"{self.opponent.name} does not search by simulations")
        if not 1 <= many <= MOST_SIMULATIONS:
            raise InputError(f"simulations must be 1 to {MOST_SIMULATIONS}, got {many}")
        self.opponent.simulations = many

    @property
    def names(self) -> tuple[str, str]:
        """Of the sides, the one that moves first in front."""
        sides = (YOU, self.opponent.name)
        return sides if self.seat == 0 else sides[::-1]

    def result(self) -> str:
        winner = int(self.game.winner[0])
        if not self.over:
            return "not finished"
        if winner < 0:
            return "a draw"
        return "you win" if winner == self.seat else f"{self.opponent.name} wins"

    def save(self, folder: Path | None = None) -> Path | None:
        """Writes the record of the game; None if no move was made."""
        if not self.moves:
            return None
        folder = OUT / "games" if folder is None else folder
        if folder.is_file():
            raise InputError(f"--record {folder} is a file: name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.game.name}_{time.strftime('%Y%m%d-%H%M%S')}"
        path = next(p for k in range(1000) if not (p := folder / f"{stem}{f'-{k}' if k else ''}.json").exists())
        names = [self.game.board.action_names[move] for move in self.moves]
        facts = {"players": list(self.names), "result": self.result(), "helped": self.helped}
        moves = {"moves": names, "movers": self._movers}
        write_json(path, {"schema": 1, "kind": RECORD, "game": self.game.name, **facts, **moves})
        return path

    def _copy(self) -> Game:
        copy = Game(self.game.name)
        copy.rows = self.game.rows.copy()
        return copy


def read_record(path: str | Path, game: str) -> tuple[list[int], dict[str, Any]]:
    """The actions and the whole record of a file of `game`. Raises `InputError` unless all moves are legal."""
    try:
        record = read_json(Path(path))
    except (OSError, CheckpointError) as error:
        raise InputError(f"{path} cannot be read as a game record: {error}") from None
    if not isinstance(record, dict) or record.get("kind") != RECORD or not isinstance(record.get("moves"), list):
        raise InputError(f"{path} is no record of a board game: `rl play GAME --vs PLAYER` writes them")
    if record.get("game") != game:
        raise InputError(f"{path} is the record of a game of {record.get('game')!r}, not of {game}")
    trial, actions = Game(game), []
    for number, move in enumerate(record["moves"], 1):
        try:
            actions.append(action_of(game, str(move)[:20]))
            trial.play(actions[-1])
        except InputError as error:
            raise InputError(f"{path}, move {number}: {error}") from None
    return actions, record


def movers_of(record: dict[str, Any]) -> list[str]:
    """Who made each move of a record, as `words` shows it; "" if the record, an older one, does not say."""
    many, movers = len(record["moves"]), record.get("movers")
    return list(map(words, movers)) if isinstance(movers, list) and len(movers) == many else [""] * many


def words(value: Any) -> str:
    """The beginning of a text of a record, 80 characters, without those that would control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:80])


def _described(player: Player) -> str:
    """A player's name (a run's has its step), and the simulations of one that searches."""
    return f"{player.name}, {player.simulations} simulations" if isinstance(player, Planner) else player.name


def action_of(game: str, word: str) -> int:
    """The action that a person names: "4" or "column 4" in Connect Four, "b2", "pass". Raises `InputError`."""
    names = [name.removeprefix("column ") for name in load_board(game).action_names]
    word = word.strip().lower().removeprefix("column ")
    if word not in names:
        raise InputError(f"{word!r} is no move: {names[0]} to {names[-1] if names[-1] != 'pass' else names[-2]}")
    return names.index(word)


def bars(thoughts: Thoughts, names: tuple[str, ...]) -> list[tuple[str, float, str]]:
    """(move, length of its bar from 0 to 1, its numbers) of every legal move, or of the best ones in larger games.

    The first label orders the moves and makes the bars.
    """
    if not thoughts:
        return []
    label, values = next(iter(thoughts.items()))
    legal = np.flatnonzero(np.isfinite(values))
    if len(names) > SHOWN:
        legal = legal[np.argsort(-values[legal], kind="stable")][:SHOWN]
    low = 0.0 if label in ("visits", "probability") else float(values[legal].min())
    room = float(values[legal].max()) - low
    rows = []
    for k in legal:
        shown = "  ".join(f"{name} {_number(name, float(x[k]))}" for name, x in thoughts.items() if np.isfinite(x[k]))
        rows.append((names[k], (float(values[k]) - low) / room if room > 0 else 1.0, shown))
    return rows


def _number(label: str, x: float) -> str:
    if label == "visits":
        return f"{x:.0f}"
    if label in ("probability", "prior"):
        return f"{x:.0%}"
    if label == "proved":
        return "won" if x > 0 else "lost" if x < 0 else "drawn"
    if label in ("value", "score") and abs(x) > WIN / 2:
        return "wins" if x > 0 else "loses"
    return f"{x:+.0f}" if x == round(x) else f"{x:+.2f}"
