"""`make demo`: trains an agent in front of you, then leaves a video of its games and its learning curve."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from runs import cli
from runs.folder import OUT, read_jsonl

RECIPE = "cartpole_dqn"


def main() -> int:
    """Trains, films, draws; says where the files are. Returns the exit status of what failed first, else 0."""
    folder = OUT / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    video, picture = folder / "videos" / "demo.webm", folder / "learning-curve.png"
    print(f"training {RECIPE} (about two minutes); Ctrl-C stops and saves", flush=True)
    status = cli.main(["train", RECIPE, "--out", str(folder), *sys.argv[1:]])
    if status:
        return status
    learning_curve(folder, picture)
    video.parent.mkdir(exist_ok=True)
    status = cli.main(["watch", str(folder), "--video", str(video), "--episodes", "1", "--quiet"])
    if status:
        return status
    for what, path in (("video", video), ("learning curve", picture)):
        print(f"{what + ':':15} {path.resolve()}")
    print(f"{'play on:':15} rl watch {folder}")
    return 0


def learning_curve(folder: Path, picture: Path) -> None:
    """Draws every training episode, their running mean and the evaluations of a run over its steps."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot as plt

    episodes = read_jsonl(folder / "episodes.jsonl")
    evaluations = read_jsonl(folder / "evaluations.jsonl")
    steps = np.array([line["step"] for line in episodes])
    returns = np.array([line["return"] for line in episodes])
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes.plot(steps, returns, ".", markersize=3, alpha=0.35, color="tab:blue", label="training episode")
    if len(returns):
        window = min(20, len(returns))
        mean = np.convolve(returns, np.ones(window) / window, "valid")
        axes.plot(steps[window - 1 :], mean, color="tab:blue", label=f"mean of {window}")
    if evaluations:
        at, means = [line["step"] for line in evaluations], [line["mean"] for line in evaluations]
        axes.plot(at, means, "o-", color="tab:orange", label="evaluation, without exploration")
    axes.set(xlabel="environment steps", ylabel="return of a game", title=RECIPE)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    figure.savefig(picture)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
