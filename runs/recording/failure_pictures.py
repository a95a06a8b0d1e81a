"""The pictures under "Failure modes" in docs/agents: a measure of `rl explain`, in a healthy run and in one that fails.

    python -m runs.recording.failure_pictures [dqn ppo sac]        trains (one to three minutes each) and draws

Both runs of a picture differ in the settings `wrong` only.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from rl.storage import write_atomic

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SETTINGS = ("snapshots=8", "eval_every=0", "eval_episodes=1")


class Failure(NamedTuple):
    recipe: str
    steps: int
    settings: tuple[str, ...]
    """Of both runs."""
    wrong: tuple[str, ...]
    """Of the run that fails."""
    key: str
    """The measure: a key of the rows of `rl explain --json` under `history`; its last number is drawn."""
    caption: str


FAILURES = {
    "dqn": Failure(
        "cartpole_dqn", 6000, ("layer_norm=false",), ("lr=0.1",), "dead", "share of dead units, second hidden layer"
    ),
    "ppo": Failure("cartpole_ppo", 20_000, (), ("lr=0.02",), "entropy", "entropy of the policy, in nats"),
    "sac": Failure(
        "pendulum_sac",
        2500,
        ("learning_starts=300",),
        ("temperature=1e-5",),
        "entropy",
        "entropy of the policy, in nats",
    ),
}


def measured(failure: Failure, wrong: bool, folder: Path) -> list[tuple[int, float]]:
    """(step, measure) of each checkpoint of a new run in `folder`."""
    from runs.explaining.explain import explain
    from runs.training.train import train

    settings = [*SETTINGS, *failure.settings, *(failure.wrong if wrong else ())]
    train(failure.recipe, steps=failure.steps, settings=settings, out=folder, track="off", quiet=True)
    rows = explain(folder)["runs"][0]["history"]["rows"]
    return [(row["step"], list(row[failure.key].values())[-1]) for row in rows if failure.key in row]


def drawn(failure: Failure, lines: dict[str, list[tuple[int, float]]]) -> bytes:
    """A PNG of the named lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=100, layout="constrained")
    axes: Any = figure.subplots()
    for (name, points), style in zip(lines.items(), ("-", "--"), strict=True):
        axes.plot(*zip(*points, strict=True), style, label=name, marker="o", markersize=4)
    axes.set(title=failure.caption, xlabel="steps")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out := io.BytesIO(), format="png")
    return out.getvalue()


def main(names: list[str]) -> None:
    for name in names or list(FAILURES):
        failure = FAILURES[name]
        with tempfile.TemporaryDirectory() as place:
            usual = " ".join((failure.recipe, *failure.settings))
            both = {usual: False, f"with {' '.join(failure.wrong)}": True}
            lines = {label: measured(failure, wrong, Path(place) / str(wrong)) for label, wrong in both.items()}
        write_atomic(PICTURES / f"explain-{name}.png", drawn(failure, lines))
        print(name, lines)


if __name__ == "__main__":
    main(sys.argv[1:])
