"""`make gallery`: a page for every local run that can be played in one, and an index that links them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from rl.errors import InputError, RunError
from rl.storage import write_atomic
from runs.folder.places import OUT
from runs.sharing.web.export import export_web, render, source
from runs.training.evaluation import load_run
from runs.watching.player import Player

STEPS = 30
"""Steps of a game after which its picture is taken."""


def gallery(places: list[Path], out: Path) -> dict[str, Any]:
    """Exports the runs within `places`, up to three folders deep, into `out`, and writes its index.html.

    Returns the index's `file`, the `pages`, and in `skipped` one line for each run that cannot be exported.
    """
    out.mkdir(parents=True, exist_ok=True)
    cards: list[dict[str, Any]] = []
    skipped = []
    for folder in _runs(places):
        name = f"{len(cards):02}-{re.sub(r'[^A-Za-z0-9._-]', '-', folder.name)[:80]}"
        try:
            facts = export_web(folder, out / f"{name}.html")
            _picture(folder, out / f"{name}.png")
        except (InputError, RunError) as error:
            skipped.append(f"{folder}: {error}")
        else:
            cards.append({**facts, "name": name})
    page = render("gallery.jinja", css=source("page.css"), cards=cards)
    write_atomic(out / "index.html", page.encode())
    pages = [f"{card['name']}.html" for card in cards]
    return {"schema": 1, "file": str(out / "index.html"), "pages": pages, "skipped": skipped}


def _runs(places: list[Path]) -> list[Path]:
    depths = ("run.json", "*/run.json", "*/*/run.json", "*/*/*/run.json")
    return sorted({path.parent for place in places for depth in depths for path in place.glob(depth)})


def _picture(folder: Path, file: Path) -> None:
    """A picture of the agent's game, 480 x 360."""
    from envs.drawing import Canvas

    agent, run = load_run(folder, device="cpu")
    canvas = Canvas(480, 360)
    with Player(agent, run) as player:
        for _ in range(STEPS):
            player.step()
        player.fetch()
        red, green, blue = player.pictures[0][0, 0].tolist()
        canvas.fill((red, green, blue))  # around a picture of another shape
        canvas.picture(player.pictures[0], 0, 0, 480, 360)
    canvas.save(file)


if __name__ == "__main__":
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    made = gallery([Path(word) for word in sys.argv[1:]] or [OUT], OUT / "gallery")
    print(*made["skipped"], f"{len(made['pages'])} pages: {made['file']}", sep="\n")
