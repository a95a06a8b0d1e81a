"""Connect Four's first moves, solved once: positions whose search takes minutes.

`connect_four_book.json` has the score of each position, for the player to move, under the key of `key_of`; a position
and its mirror image share one. The solver of this suite computed all of them:

    python -m envs.boards.opening_book MINUTES       solves the next ones of `ORDER` and adds them to the file
"""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from envs.boards.connect_four import WIDTH

FILE = Path(__file__).parent / "connect_four_book.json"
COLUMNS = "4352617"
ORDER = (*"4321", *(a + b for a in "4321" for b in COLUMNS), *(a + b + c for a in "4321" for b in "4" for c in COLUMNS))
"""Moves to the positions, in the order in which they are solved."""


def key_of(mine: int, theirs: int) -> str:
    """The same for a position and its mirror image."""
    column = (1 << WIDTH) - 1
    turned = [
        sum(((stones >> 7 * x) & column) << 7 * (WIDTH - 1 - x) for x in range(WIDTH)) for stones in (mine, theirs)
    ]
    first, second = min((mine, theirs), (turned[0], turned[1]))
    return f"{first:x}-{second:x}"


@lru_cache
def book() -> dict[str, int]:
    """Key -> score of the player to move."""
    found: dict[str, int] = json.loads(FILE.read_text())
    return found


def main() -> None:
    from envs.boards.solver import Solver, played

    until, solver = time.process_time() + 60 * float(sys.argv[1]), Solver(1 << 25)
    known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for moves in ORDER:
        row = played(moves).rows
        key = key_of(int(row["mine"][0]), int(row["theirs"][0]))
        if key in known or time.process_time() > until:
            continue
        begun = time.process_time()
        known[key] = int(solver.values(row["mine"], row["theirs"])[0])
        FILE.write_text(json.dumps(known, indent=0) + "\n")
        print(f"{moves}: {known[key]:+d} after {time.process_time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
