"""`rl play GAME --vs PLAYER --text`: a board game in a terminal, line by line, and the replay of a record."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs.boards.game import Game
from envs.boards.text import DISCS, STONES
from rl.errors import InputError
from runs.comparing.league.players import Thoughts
from runs.folder.trust import Trust
from runs.watching.board_game import LONG, BoardGame, action_of, bars, movers_of, read_record, words

HELP = """\
a move     {moves}
undo       take back your move and the reply
hint       what the opponent sees in your position: on or off
perfect    the score of every move by perfect play
weaker, stronger    the opponent's depth, simulations or checkpoint
simulations N       the budget of an opponent that searches
new, side  a new game; a new game from the other side
quit       leave; the game is saved
Two letters are enough: un, hi, pe, we, st, ne, si, qu."""
COMMANDS = ("undo", "hint", "perfect", "weaker", "stronger", "new", "side", "help", "quit")


class Quit(Exception):
    """The person leaves, or the input has ended."""


class TextTable:
    """The loop of questions and answers.

    ask: prompt to line, raises `EOFError` at the end of input. side: "first" or "second"; without it the person is
    asked. piped: the lines come from a file or a program, so that a number is a move and no answer to that question.
    """

    def __init__(
        self,
        match: BoardGame,
        folder: Path | None,
        ask: Callable[[str], str] = input,
        say: Callable[[str], None] = print,
        colour: bool = False,
        side: str | None = None,
        piped: bool = False,
    ) -> None:
        self._side, self._numbers, self._kept = side, () if piped else ("1", "2"), ""
        self.match, self.folder, self.say, self.colour = match, folder, say, colour
        self._ask, self.hints = ask, False
        self.results: list[str] = []
        self.records: list[str] = []
        self._saved: list[int] = []

    def run(self) -> None:
        """Until the person quits or the input ends."""
        try:
            self.choose_side()
            while True:
                self.turn()
        except Quit:
            self.finish()
            self.say("bye")

    def turn(self) -> None:
        """The opponent's move if it is due, the position, and one line from the person."""
        match = self.match
        if not match.over and not match.your_turn:
            action = match.reply()
            self.say(f"{match.opponent.name} plays {match.game.board.action_names[action]}")
            self.show(match.seen, "saw")
        self.say("\n" + match.game.text(colour=self.colour))
        if match.over:
            self.finish()
            self.say(f"{match.result()}; new, side, undo or quit")
        elif self.hints and match.your_turn:
            self.show(match.hint(), "would see in your place")
        if match.over or match.your_turn:
            self.listen()

    def listen(self) -> None:
        """Asks until a line changes the position or the game."""
        while True:
            word = self.ask("> ")
            if not word:
                continue
            if found := re.fullmatch(r"si\w* (\d+)", word):
                self.simulations(int(found[1]))
                continue
            named = [c for c in COMMANDS if c.startswith(word) and len(word) > 1]
            try:
                if named:
                    if getattr(self, named[0])():
                        return
                    continue
                self.match.play(action_of(self.match.game.name, word))
                return
            except InputError as error:
                self.say(f"{error} (help: all commands)" if not named else str(error))

    def ask(self, prompt: str) -> str:
        if self._kept:
            kept, self._kept = self._kept, ""
            return kept
        try:
            return self._ask(prompt).strip().lower()
        except EOFError:
            self.say("")
            raise Quit from None

    def choose_side(self) -> None:
        word = self._side
        while word not in ("", "first", "second", *self._numbers):
            if word is not None:
                if self._is_move(word):
                    self._kept = word
                    break
                self.say(f"{word!r} is neither first nor second")
            word = self.ask("do you move first or second? [first] ")
        self.match.new(int(word in ("second", "2") and not self._kept))
        stone = STONES.get(self.match.game.name, DISCS)[self.match.seat]
        self.say(f"you play {stone} against {self.match.opponent.name}; help shows the commands")

    def _is_move(self, word: str) -> bool:
        """Whether the person begins the game instead of an answer."""
        try:
            return action_of(self.match.game.name, word) is not None
        except InputError:
            return False

    def show(self, thoughts: Thoughts, verb: str) -> None:
        rows = bars(thoughts, self.match.game.board.action_names)
        if rows:
            self.say(f"{self.match.opponent.name} {verb}:")
        self.draw(rows)
        if rows and self.match.line:
            self.say(f"  {'line':9} {self.match.line}")

    def draw(self, rows: list[tuple[str, float, str]]) -> None:
        for name, part, shown in rows:
            self.say(f"  {name:9} {'█' * max(1, round(LONG * part)):{LONG}} {shown}")

    # commands: True if the position has changed

    def undo(self) -> bool:
        if not self.match.undo():
            self.say("there is no move of yours to take back")
            return False
        return True

    def hint(self) -> bool:
        self.hints = not self.hints
        self.say(f"hints are {'on' if self.hints else 'off'}")
        if self.hints and self.match.your_turn:
            self.show(self.match.hint(), "would see in your place")
        return False

    def perfect(self) -> bool:
        if self.match.over:
            self.say("the game has ended")
        else:
            self.draw(bars(self.match.perfect(), self.match.game.board.action_names))
        return False

    def weaker(self) -> bool:
        return self._strength(-1)

    def stronger(self) -> bool:
        return self._strength(1)

    def _strength(self, by: int) -> bool:
        changed = self.match.stronger(by)
        self.say(f"you play against {self.match.opponent.name}{'' if changed else ': there is no other level'}")
        return False

    def simulations(self, many: int) -> None:
        """Sets the budget of an opponent that searches."""
        try:
            self.match.set_simulations(many)
            self.say(f"{self.match.opponent.name} searches {many} simulations before each move")
        except InputError as error:
            self.say(str(error))

    def new(self) -> bool:
        return self._again(self.match.seat)

    def side(self) -> bool:
        return self._again(1 - self.match.seat)

    def _again(self, seat: int) -> bool:
        self.finish()
        self.match.new(seat)
        self._saved = []
        return True

    def help(self) -> bool:
        names = self.match.game.board.action_names
        self.say(HELP.format(moves=f"{names[0]} to {names[-1]}".replace("column ", "")))
        return False

    def quit(self) -> bool:
        raise Quit

    def finish(self) -> None:
        """Saves the game, once."""
        match = self.match
        if not match.moves or match.moves == self._saved:
            return
        if match.over:
            self.results.append(match.result())
        path = match.save(self.folder)
        self.records.append(str(path))
        self._saved = match.moves
        self.say(f"saved: {path}")


def play_text(
    game: str,
    vs: str,
    *,
    side: str | None = None,
    record: str | Path | None = None,
    seed: int = 0,
    trust: Trust = False,
) -> dict[str, Any]:
    """Plays in the terminal until the person leaves. side: as in `TextTable`.

    Returns `env`, `results` of the finished games and `records`.
    """
    match = BoardGame(game, vs, seed=seed, trust=trust)
    folder, piped = None if record is None else Path(record), not sys.stdin.isatty()
    table = TextTable(match, folder, colour=_colours(), side=side, piped=piped)
    table.run()
    return {"env": f"Boards/{game}-v1", "results": table.results, "records": table.records}


def _colours() -> bool:
    """Whether the terminal shows colours. An empty command makes the classic console of Windows read their codes."""
    if os.name == "nt":
        os.system("")
    return sys.stdout.isatty()


def replay_text(
    file: str | Path, game: str, ask: Callable[[str], str] = input, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Shows a record move by move: Enter for the next one, `b` for the one before, `q` to leave."""
    actions, record = read_record(file, game)
    shown, place = Game(game), 0
    done = {"env": f"Boards/{game}-v1", "results": [record.get("result")], "records": [str(file)]}
    first, second = map(words, [*record.get("players", ()), "?", "?"][:2])
    say(f"{first} against {second}: {words(record.get('result', '?'))}")
    movers = ["", *movers_of(record)]
    while True:
        by = f" by {movers[place]}" if movers[place] else ""
        say(f"\nmove {place} of {len(actions)}{by}\n{shown.text(colour=_colours())}")
        try:
            word = ask("Enter: next, b: back, q: quit > ").strip().lower()
        except EOFError:
            say("")
            return done
        if word.startswith("q") or (place == len(actions) and not word.startswith("b")):
            return done
        if word.startswith("b"):
            shown.undo()
            place = max(0, place - 1)
        else:
            shown.play(actions[place])
            place += 1
