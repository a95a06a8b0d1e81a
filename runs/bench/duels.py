"""Trainings and races against Stable-Baselines3."""

from __future__ import annotations

import dataclasses
import math
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

ATARI = (
    "PyTorch has {threads} on both sides; besides, each of our consoles steps in a C++ thread of its own, and "
    "coming games start in the background, while SB3's DummyVecEnv steps its consoles in turn in the main thread"
)
"""What stands beside a speed on Atari: only part of the ratio is the learner's."""


@dataclass(frozen=True)
class Duel:
    """A training that both sides do."""

    agent: str
    env: str
    steps: int
    """Of one repeat; enough that updates are most of it."""
    source: Literal["sb3", "zoo"] = "sb3"
    """Whose hyperparameters: SB3's defaults or the RL Zoo's."""
    shared: tuple[str, ...] = ()
    """Hyperparameters that differ from the source's, on both sides."""
    fastest: tuple[str, ...] = ()
    """Fields of ours that differ in our fastest setting, which then is a second result, beside the same peer."""
    threads: int = 1
    """PyTorch's, on both sides."""
    ours: tuple[str, ...] = ()
    """Fields of our run alone, in all of its settings."""
    ranks: int = 1
    """Processes of our training."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the networks of both sides are."""


TRAINING: dict[str, Duel] = {
    "cartpole_dqn": Duel("dqn", "CartPole-v1", 10_000),
    "cartpole_dqn_zoo": Duel("dqn", "CartPole-v1", 10_000, "zoo"),
    "cartpole_ppo_zoo": Duel("ppo", "CartPole-v1", 20_000, "zoo"),
    "cartpole_a2c_zoo": Duel("a2c", "CartPole-v1", 20_000, "zoo"),
    "acrobot_dqn_zoo": Duel("dqn", "Acrobot-v1", 10_000, "zoo"),
    "acrobot_ppo_zoo": Duel("ppo", "Acrobot-v1", 20_480, "zoo"),
    "mountaincar_dqn_zoo": Duel("dqn", "MountainCar-v0", 10_000, "zoo"),
    "mountaincar_ppo_zoo": Duel("ppo", "MountainCar-v0", 20_480, "zoo"),
    "lunarlander_dqn_zoo": Duel("dqn", "LunarLander-v3", 10_000, "zoo"),
    "lunarlander_ppo_zoo": Duel("ppo", "LunarLander-v3", 32_768, "zoo"),
    "pendulum_sac_sb3": Duel("sac", "Pendulum-v1", 2_000),
    "pendulum_td3_sb3": Duel("td3", "Pendulum-v1", 2_000, shared=('policy_kwargs={"net_arch": [256, 256]}',)),
    "halfcheetah_sac_zoo": Duel("sac", "HalfCheetah-v5", 2_000, "zoo", ("learning_starts=200",)),
    # fastest in bfloat16, where the processor has instructions for it
    # after 800 updates, 3,400 steps, PyTorch's Adam becomes slower: moments of units that are off are denormal by then
    "pong_dqn": Duel("dqn", "ALE/Pong-v5", 6_000, "zoo", ("learning_starts=200",), ("precision=auto",)),
    "pong_ppo": Duel("ppo", "ALE/Pong-v5", 4_096, "zoo", (), ("precision=auto",)),
    # both sides may use two cores: SB3 by PyTorch's threads, ours by two processes, or by acting during the updates
    "pong_ppo_2_cores": Duel(
        "ppo", "ALE/Pong-v5", 4_096, "zoo", (), ("precision=auto",), threads=2, ours=("threads=1",), ranks=2
    ),
    "pong_dqn_overlap": Duel(
        "dqn",
        "ALE/Pong-v5",
        2_000,
        "zoo",
        ("learning_starts=200",),
        ("precision=auto",),
        threads=2,
        ours=("threads=1", "overlap=true"),
    ),
}

ON_PONG = ("pong_dqn", "pong_ppo")


@dataclass(frozen=True)
class Race:
    """Our recipe against the RL Zoo's values in SB3: seconds of training until an environment is solved."""

    recipe: str
    agent: str
    passed: float
    """Mean of 20 greedy games that counts as solved, twice in a row."""
    steps: int | None = None
    """Budget of both sides, the recipe's if left out."""
    every: int = 2_500
    """Steps between evaluations. Their time is left out; learning has started before the first."""
    threads: int = 1
    """PyTorch's, of our side; the peer has as many as PyTorch gives it."""


RACES: dict[str, Race] = {
    "solved_cartpole": Race("cartpole_dqn", "dqn", 475.0),
    "solved_acrobot": Race("acrobot_dqn", "dqn", -100.0),
    "solved_mountaincar": Race("mountaincar_dqn", "dqn", -110.0),
    "solved_lunarlander": Race("lunarlander_dqn", "dqn", 200.0, every=5_000),
    "solved_cartpole_ppo": Race("cartpole_ppo", "ppo", 475.0),
    "solved_acrobot_ppo": Race("acrobot_ppo", "ppo", -100.0, every=5_000),
    "solved_mountaincar_ppo": Race("mountaincar_ppo", "ppo", -110.0, every=20_000),
    "solved_lunarlander_ppo": Race("lunarlander_ppo", "ppo", 200.0, every=20_000),
    "solved_pong_ppo": Race("pong_ppo", "ppo", 18.0, every=100_000, threads=2),
}
"""Solved means Gymnasium's own `reward_threshold`; Pong has none, 21 is the most."""


def measure_training(name: str, duel: Duel, repeats: int) -> Iterator[dict[str, Any]]:
    import envs
    from runs.comparing.peers.peer import is_atari
    from runs.comparing.peers.speed import sb3_speed

    threads = f"{duel.threads} thread{'s' * (duel.threads > 1)}"
    note = ATARI.format(threads=threads) if is_atari(envs.spec(duel.env)) else ""
    ranks = (f"--ranks {duel.ranks}",) if duel.ranks > 1 else ()
    if duel.ours or ranks:
        note += f"; ours differs by {', '.join((*duel.ours, *ranks))}"
    ways = {name: (), f"{name}_fastest": duel.fastest} if duel.fastest else {name: ()}
    pairs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):  # the first is the warm-up
        same: dict[str, Any] = {
            "source": duel.source,
            "settings": duel.shared,
            "threads": duel.threads,
            "device": duel.device,
        }
        theirs = sb3_speed(duel.agent, duel.env, duel.steps, seed=repeat, **same)["steps_per_second"]
        for way, settings in ways.items():
            ours = our_speed(duel, settings, seed=repeat)
            if repeat:
                pairs[way].append({"ours": round(ours, 1), "peer": round(theirs, 1)})
    for way, settings in ways.items():
        yield {
            "name": way,
            "unit": "steps/s",
            "ours": statistics.median(p["ours"] for p in pairs[way]),
            "peer": statistics.median(p["peer"] for p in pairs[way]),
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs[way]),
            "repeats": pairs[way],
            "settings": {
                "hyperparameters": duel.source,
                "both": list(duel.shared),
                "ours": [*duel.ours, *settings],
                "threads": duel.threads,
                **({"ranks": duel.ranks} if duel.ranks > 1 else {}),
                **({"device": duel.device} if duel.device != "cpu" else {}),
            },
            "note": note,
        }


def measure_ranks(repeats: int) -> Iterator[dict[str, Any]]:
    """PPO on Pong by two processes beside one, both with one thread of PyTorch each.

    The second row is what these two cores can give at most: two trainings at once that know nothing of each other.
    """
    one = dataclasses.replace(TRAINING["pong_ppo"], fastest=())
    two = dataclasses.replace(one, ranks=2)
    found = [
        (our_speed(one, (), seed), our_speed(two, (), seed), _speed_of_two(one, seed)) for seed in range(repeats + 1)
    ]
    rows = {
        "pong_ppo_ranks": (1, "the same global batch, one thread of PyTorch in each process"),
        "pong_ppo_ranks_limit": (2, "two separate trainings at once, their steps/s added up"),
    }
    for name, (column, note) in rows.items():
        pairs = [{"ours": round(x[column], 1), "peer": round(x[0], 1)} for x in found[1:]]  # the first is the warm-up
        yield {
            "name": name,
            "unit": "steps/s",
            "ours": statistics.median(p["ours"] for p in pairs),
            "peer": statistics.median(p["peer"] for p in pairs),
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs),
            "repeats": pairs,
            "against": "one process",
            "settings": {"hyperparameters": one.source, "threads": 1, **({"ranks": 2} if column == 1 else {})},
            "note": note,
        }


def _speed_of_two(duel: Duel, seed: int) -> float:
    """Steps a second of two trainings at once, added up."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return sum(pool.map(our_speed, [duel] * 2, [()] * 2, [seed, seed + 1_000]))


def our_speed(duel: Duel, settings: Sequence[str], seed: int) -> float:
    """Steps a second of our training with SB3's hyperparameters, evaluations and saves left out."""
    from runs.training.train import train

    run = matched_run(duel)
    with tempfile.TemporaryDirectory() as folder:
        out, words = Path(folder) / "run", (*duel.ours, *settings)
        result = train(run, seed=seed, settings=words, out=out, device=duel.device, ranks=duel.ranks)
    return float(result["steps_per_second"])


def matched_run(duel: Duel) -> Any:
    """Our run with the peer's hyperparameters."""
    import agents
    import envs
    from runs.comparing.peers.peer import build_peer
    from runs.comparing.peers.translate import apply_fields, ours_like
    from runs.recipe import Run

    peer = build_peer(duel.source, duel.agent, envs.spec(duel.env), duel.shared)
    fields, run_fields, _ = ours_like(peer, duel.steps)
    config, _ = apply_fields(agents.config(duel.agent), {**fields, "precision": "fp32"})
    run = Run(env=duel.env, agent=config, steps=duel.steps, eval_episodes=1, eval_max_steps=1, threads=duel.threads)
    return dataclasses.replace(run, **run_fields)


def measure_race(name: str, race: Race, seeds: int) -> Iterator[dict[str, Any]]:
    """Both sides with the recipe's budget, the same seeds and our evaluator, in turns, each until it is there."""
    pairs = [
        (solved(our_curve(race, seed), race.passed), solved(peer_curve(race, seed), race.passed))
        for seed in range(seeds)
    ]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    yield {
        "name": name,
        "unit": "s until solved",
        "ours": _or_never(ours),
        "peer": _or_never(theirs),
        "ratio": None if math.inf in (ours, theirs) else theirs / ours,
        "repeats": [{"ours": _or_never(a), "peer": _or_never(b)} for a, b in pairs],
        "settings": {"recipe": race.recipe, "hyperparameters": "zoo", "passed": race.passed, "every": race.every},
        "note": "null is a seed that was not solved within the recipe's budget; medians count it as never",
    }


def solved(curve: Iterable[tuple[float, float]], passed: float) -> float:
    """The seconds at which a curve of (seconds, score) is at `passed` or above for the second time in a row, or inf."""
    before = False
    for seconds, score in curve:
        if before and score >= passed:
            return round(seconds, 1)
        before = score >= passed
    return math.inf


def _or_never(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def our_curve(race: Race, seed: int) -> list[tuple[float, float]]:
    """(seconds, score) of our recipe at each evaluation: it ends there, and is resumed while it is not solved.

    Rows of the last slot beyond an end, fewer than there are environments, are played but not learned from.
    """
    from runs.recipe import resolve
    from runs.training.train import resume, train

    settings = ("eval_episodes=20", f"threads={race.threads}", "precision=fp32", "eval_every=0", "save_every=0")
    run = resolve(race.recipe, steps=race.steps, seed=seed, settings=settings)
    curve: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for step in [*range(race.every, run.steps, race.every), run.steps]:
            more = (
                resume(out, steps=step, device="cpu")
                if curve
                else train(dataclasses.replace(run, steps=step, eval_every=0, save_every=0), out=out, device="cpu")
            )
            curve.append((more["seconds"], more["mean"]))
            if math.isfinite(solved(curve, race.passed)):
                break
    return curve


def peer_curve(race: Race, seed: int) -> list[tuple[float, float]]:
    """(seconds, score) of the peer's evaluations, on the recipe's environment and budget."""
    import envs
    from runs.comparing.peers.peer import build_peer
    from runs.comparing.peers.training import train_peer
    from runs.recipe import resolve
    from runs.training.evaluation import play_games

    run = resolve(race.recipe)

    def play(agent: Any) -> float:
        return float(play_games(agent, run, episodes=20, seed=seed).mean)

    peer = build_peer("zoo", race.agent, envs.spec(run.env, run.env_config))
    steps = race.steps or run.steps

    def enough(curve: list[tuple[int, float, float]]) -> bool:
        return math.isfinite(solved([(seconds, score) for _, seconds, score in curve], race.passed))

    done = train_peer(peer, run.env, run.env_config, steps, seed, evaluate=play, eval_every=race.every, enough=enough)
    curve = [(seconds, score) for _, seconds, score in done.curve]
    return curve if enough(done.curve) else [*curve, (done.seconds, play(done.agent))]
