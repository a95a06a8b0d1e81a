"""Six sets of Connect Four positions with the score of every move, and how they were made.

The usual scheme: the stage is the number of stones (begin: at most 14, middle: at most 28, end: more) and the
difficulty the number of plies to the end of perfect play (easy: fewer than 14, medium: fewer than 28, hard: more).
They correspond to the sets L3R1, L2R1, L2R2, L1R1, L1R2 and L1R3 of "Solving Connect 4" (Pons). The positions are our
own, from games in which half of the moves are random and the others are minimax moves of depth 4. No position has ended
or can be won at once, and none is in a set twice, not even mirrored.

    python -m envs.boards.positions FOLDER            makes them; it continues where it was interrupted
    python -m envs.boards.positions FOLDER --pack     writes the file that `load` reads
"""

from __future__ import annotations

import argparse
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from envs.boards.connect_four import WIDTH
from envs.boards.game import Game
from envs.boards.solver import CELLS, Solver
from rl.errors import InputError, unknown

FILE = Path(__file__).parent / "connect_four_positions.npz"
SETS: dict[str, tuple[range, range]] = {
    "end-easy": (range(29, 40), range(14)),
    "middle-easy": (range(15, 29), range(14)),
    "middle-medium": (range(15, 29), range(14, 28)),
    "begin-easy": (range(8, 15), range(14)),
    "begin-medium": (range(8, 15), range(14, 28)),
    "begin-hard": (range(11, 15), range(28, 43)),
}
"""Name of a set -> stones on the board, plies to the end of perfect play."""


@dataclass(frozen=True)
class Positions:
    """Positions of one game with the score of every move."""

    game: str
    moves: tuple[tuple[int, ...], ...]
    """The actions that lead to each position."""
    scores: np.ndarray
    """Int8 [N, A], for the player to move: more than 0 wins, 0 draws. `ILLEGAL` for illegal moves."""

    def __len__(self) -> int:
        return len(self.moves)

    def play(self) -> Game:
        """The positions themselves."""
        game = Game(self.game, len(self.moves))
        for ply in range(max(map(len, self.moves))):
            mask = np.array([len(moves) > ply for moves in self.moves])
            game.play([moves[ply] if len(moves) > ply else 0 for moves in self.moves], mask)
        return game


@lru_cache
def load(name: str) -> Positions:
    """The set `name`, a key of `SETS`. Raises `InputError` for another name or a file that is damaged."""
    if name not in SETS:
        raise unknown("set of positions", name, SETS)
    try:
        with np.load(FILE, allow_pickle=False) as file:
            moves, scores = file[f"{name}_moves"], file[f"{name}_scores"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{FILE.name} cannot be read ({error}): install the package again") from error
    return Positions("ConnectFour", tuple(tuple(int(c) - 1 for c in row if c) for row in moves), scores)


def plies_left(score: int, ply: int) -> int:
    """Plies from a position with `ply` stones to the end of perfect play."""
    if score == 0:
        return CELLS - ply
    first_wins = (ply % 2 == 0) == (score > 0)
    return (CELLS + 1 if first_wins else CELLS + 2) - 2 * abs(score) - ply


def generate(name: str, folder: Path, many: int, solver: Solver) -> None:
    """Appends positions to `folder/name.txt` until it has `many`: draw, moves, scores of the columns.

    Draw k depends on the set and k alone, so that an interrupted run continues as if it had not been interrupted.
    """
    path = folder / f"{name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    draw = int(lines[-1].split()[0]) if lines else 0
    seen = {_key(line.split()[1]) for line in lines}
    with path.open("a") as file:
        while len(seen) < many:
            draw += 1
            found = _candidate(name, draw, solver, seen)
            if found is not None:
                file.write(f"{draw} {found[0]} {','.join(map(str, found[1]))}\n")
                file.flush()


def _candidate(name: str, draw: int, solver: Solver, seen: set[str]) -> tuple[str, list[int]] | None:
    stones, left = SETS[name]
    rng = np.random.default_rng([list(SETS).index(name), draw])
    game, moves = Game("ConnectFour"), ""
    game.rows["rng"] = rng.integers(1, 2**62)
    for _ in range(int(rng.choice(stones))):
        action = int(game.random_actions()[0] if rng.random() < 0.5 else game.minimax(4)[0][0])
        game.play(action)
        moves += str(action + 1)
        if game.ended[0]:
            return None
    mine, theirs, ply = game.rows["mine"], game.rows["theirs"], len(moves)
    score = int(solver.values(mine, theirs)[0])
    if score == (CELLS + 1 - ply) // 2 or plies_left(score, ply) not in left or _key(moves) in seen:
        return None
    seen.add(_key(moves))
    return moves, solver.scores(mine, theirs)[0].tolist()


def _key(moves: str) -> str:
    """A key that is the same for all move orders to a position and to its mirror image."""
    columns: list[str] = [""] * WIDTH
    for ply, move in enumerate(moves):
        columns[int(move) - 1] += str(ply % 2)
    return min("|".join(columns), "|".join(columns[::-1]))


def pack(folder: Path, file: Path = FILE) -> dict[str, int]:
    """Writes what `generate` made as one compressed file. Returns the number of positions of each set."""
    arrays: dict[str, np.ndarray] = {}
    for name in SETS:
        lines = [line.split() for line in (folder / f"{name}.txt").read_text().splitlines()]
        moves = np.zeros((len(lines), CELLS), np.uint8)
        for row, (_, text, _) in zip(moves, lines, strict=True):
            row[: len(text)] = [int(c) for c in text]
        arrays[f"{name}_moves"] = moves
        arrays[f"{name}_scores"] = np.array([line[2].split(",") for line in lines]).astype(np.int8)
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return {name: len(arrays[f"{name}_moves"]) for name in SETS}


def main() -> None:
    parser = argparse.ArgumentParser(prog="positions", description="Make the sets of Connect Four positions.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--many", type=int, default=1000, help="positions of each set (default: 1000)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--pack", action="store_true", help="write the file of the package from what there is")
    options = parser.parse_args()
    if options.pack:
        print(pack(options.folder))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    solver = Solver(1 << 25)
    for name in options.sets:
        generate(name, options.folder, options.many, solver)


if __name__ == "__main__":
    main()
