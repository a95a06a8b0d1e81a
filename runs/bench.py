"""`rl bench`: speed and memory beside Stable-Baselines3, in one run on one machine.

Training speed is measured end to end: SB3 as its documentation shows it, on its own environments and wrappers; ours
with the same hyperparameters, in float32, with as many threads for PyTorch. The environments are each side's own, and
so are their threads: see `ATARI`. The two take turns, five times after a warm-up, and every repeat is reported. A name
that begins with `solved_` is the time our recipe and the RL Zoo's values in SB3 take to reach a score.
"""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rl.errors import InputError, RunError, unknown

REPEATS = 5
GAMES = ("Pong", "Breakout", "SpaceInvaders", "Seaquest", "Qbert", "MsPacman", "Enduro", "MontezumaRevenge")


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
    # fastest in bfloat16, where the processor has instructions for it
    "pong_dqn": Duel("dqn", "ALE/Pong-v5", 2_000, "zoo", ("learning_starts=200",), ("precision=auto",)),
    "pong_ppo": Duel("ppo", "ALE/Pong-v5", 4_096, "zoo", (), ("precision=auto",)),
}
ON_PONG = ("pong_dqn", "pong_ppo")
TRAINING |= {f"{name}_2_threads": dataclasses.replace(TRAINING[name], threads=2) for name in ON_PONG}
TRAINING |= {f"{name}_gpu": dataclasses.replace(TRAINING[name], fastest=(), device="cuda") for name in ON_PONG}
GPU = ("gpu", *(name for name, duel in TRAINING.items() if duel.device == "cuda"))
"""Benchmarks that need one."""


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
    """Steps between evaluations, whose time is left out; learning has started at the first of them."""


RACES: dict[str, Race] = {
    "solved_cartpole": Race("cartpole_dqn", "dqn", 475.0),
    "solved_acrobot": Race("acrobot_dqn", "dqn", -100.0),
    "solved_mountaincar": Race("mountaincar_dqn", "dqn", -110.0),
    "solved_lunarlander": Race("lunarlander_dqn", "dqn", 200.0),
    "solved_cartpole_ppo": Race("cartpole_ppo", "ppo", 475.0),
    "solved_acrobot_ppo": Race("acrobot_ppo", "ppo", -100.0, every=5_000),
    "solved_mountaincar_ppo": Race("mountaincar_ppo", "ppo", -110.0, every=20_000),
    "solved_lunarlander_ppo": Race("lunarlander_ppo", "ppo", 200.0, every=20_000),
}
"""Solved is what Gymnasium's own `reward_threshold` says."""


def bench(names: Sequence[str] | None = None, *, repeats: int = REPEATS, quiet: bool = True) -> dict[str, Any]:
    """Measures what is named, or all but the races and what needs a GPU.

    Returns a list `results` of name, unit, ours, peer, ratio, repeats.

    `ours` and `peer` are medians, `ratio` is how many times better ours is (the median of the pairs, in a race of the
    medians), `repeats` holds every pair. Where SB3 has nothing to measure against, peer and ratio are None. A training
    also has `settings` and a `note`, empty where the two differ in nothing but the library.
    """
    everything: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        **{name: lambda d=duel, n=name: _training(n, d, repeats) for name, duel in TRAINING.items()},  # type: ignore[misc]
        **{name: lambda r=race, n=name: _race(n, r, repeats) for name, race in RACES.items()},  # type: ignore[misc]
        "updates": lambda: _updates(repeats),
        "replay": _replay,
        "sampling": lambda: _sampling(repeats),
        "arcade": lambda: _arcade(repeats),
        "pqn": lambda: _pqn(repeats),
        "viewer": lambda: _viewer(repeats),
        "watcher": lambda: _watcher(repeats),
        "gpu": lambda: _gpu(repeats),
    }
    for name in names or ():
        if name not in everything:
            rows = (
                k for k in everything if k not in {**TRAINING, **RACES} and name.startswith(f"{k.removesuffix('s')}_")
            )
            owner = next(rows, None) or name.removesuffix("_fastest")
            if owner in everything:  # its row, as the table calls it
                raise InputError(f"{name!r} is no benchmark of its own: `rl bench {owner}` measures it")
            raise unknown("benchmark", name, everything)
        if name in GPU:
            _require_gpu(name)
    results: list[dict[str, Any]] = []
    try:
        for name in names or (name for name in everything if name not in {*RACES, *GPU}):
            for result in everything[name]():
                results.append(result)
                if not quiet:
                    print(_line(result), file=sys.stderr, flush=True)
    except KeyboardInterrupt as stop:
        if results:
            stop.finished = {"results": results, "machine": _machine(), "interrupted": True}  # type: ignore[attr-defined]
        raise
    return {"results": results, "machine": _machine()}


def _line(r: dict[str, Any]) -> str:
    if r["ours"] is None:
        return f"{r['name']}: never, SB3 {r['peer'] or 'never'}"
    beside = "" if r["ratio"] is None else f", {r.get('against', 'SB3')} {r['peer']:,.4g}: {r['ratio']:.2f}x"
    note = f" ({r['note']})" if r.get("note") else ""
    return f"{r['name']}: {r['ours']:,.4g} {r['unit']}{beside}{note}"


def _machine() -> dict[str, Any]:
    from runs.record import machine

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**machine(), **_torch(), "load": load}


def _torch() -> dict[str, str]:
    """PyTorch's version and the GPU's name, once it has been used."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"torch": torch.__version__, **gpu}


def _training(name: str, duel: Duel, repeats: int) -> Iterator[dict[str, Any]]:
    import envs
    from runs.peers import is_atari, sb3_speed

    threads = f"{duel.threads} thread{'s' * (duel.threads > 1)}"
    note = ATARI.format(threads=threads) if is_atari(envs.spec(duel.env)) else ""
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
                "ours": list(settings),
                "threads": duel.threads,
                **({"device": duel.device} if duel.device != "cpu" else {}),
            },
            "note": note,
        }


def our_speed(duel: Duel, settings: Sequence[str], seed: int) -> float:
    """Steps a second of our training with SB3's hyperparameters, evaluations and saves left out."""
    from runs.train import train

    run = matched_run(duel)
    with tempfile.TemporaryDirectory() as folder:
        result = train(run, seed=seed, settings=settings, out=Path(folder) / "run", device=duel.device)
    return float(result["steps_per_second"])


def matched_run(duel: Duel) -> Any:
    """Our run with the peer's hyperparameters."""
    import agents
    import envs
    from runs.peers import apply_fields, build_peer, ours_like
    from runs.recipe import Run

    peer = build_peer(duel.source, duel.agent, envs.spec(duel.env), duel.shared)
    fields, run_fields, _ = ours_like(peer, duel.steps)
    config, _ = apply_fields(agents.config(duel.agent), {**fields, "precision": "fp32"})
    run = Run(env=duel.env, agent=config, steps=duel.steps, eval_episodes=1, eval_max_steps=1, threads=duel.threads)
    return dataclasses.replace(run, **run_fields)


def _race(name: str, race: Race, seeds: int) -> Iterator[dict[str, Any]]:
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
    from runs.train import resume, train

    settings = ("eval_episodes=20", "threads=1", "precision=fp32", "eval_every=0", "save_every=0")
    run = resolve(race.recipe, steps=race.steps, seed=seed, settings=settings)
    curve: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for step in [*range(race.every, run.steps, race.every), run.steps]:
            more = (
                resume(out, steps=step, device="cpu")
                if curve
                else train(dataclasses.replace(run, steps=step), out=out, device="cpu")
            )
            curve.append((more["seconds"], more["mean"]))
            if math.isfinite(solved(curve, race.passed)):
                break
    return curve


def peer_curve(race: Race, seed: int) -> list[tuple[float, float]]:
    """(seconds, score) of the peer's evaluations, on the recipe's environment and budget."""
    import envs
    from runs.evaluate import play_games
    from runs.peers import build_peer, train_peer
    from runs.recipe import resolve

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


def _updates(repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of one sample-and-learn of DQN's siblings beside DQN's own, in turns, with one thread."""
    import torch

    torch.set_num_threads(1)
    names = ("dqn", "c51", "qrdqn", "iqn", "rainbow")
    agents = {name: _learner(name) for name in names}
    for agent in agents.values():
        _update_ms(agent)  # the warm-up
    rounds = [{name: round(_update_ms(agent), 3) for name, agent in agents.items()} for _ in range(repeats)]
    for name in names:
        peers = {} if name == "dqn" else {"against": "DQN"}
        yield {
            "name": f"update_{name}",
            "unit": "ms an update",
            "ours": statistics.median(r[name] for r in rounds),
            "peer": statistics.median(r["dqn"] for r in rounds) if peers else None,
            "ratio": statistics.median(r["dqn"] / r[name] for r in rounds) if peers else None,
            "repeats": [{"ours": r[name], "peer": r["dqn"]} for r in rounds],
            **peers,
            "note": "sampling and learning a batch of 32 on the arcade's Space Invaders, defaults of each agent",
        }


def _learner(
    name: str, game: str = "Arcade/SpaceInvaders-v1", steps: int = 8_000, device: str = "cpu", **fields: Any
) -> Any:
    """An agent with a replay of random play of a game."""
    import agents
    import envs
    from rl.loop import interact

    env = envs.make(game, num_envs=4, seed=0, stream="train")
    fields = {"buffer_size": 10_000, "learning_starts": 100_000, "batch_size": 32, **fields}
    agent = agents.build(
        dataclasses.replace(agents.config(name), **fields), env.spec, num_envs=4, seed=0, device=device
    )
    for _ in interact(env, agent, steps):
        pass
    return agent


def _update_ms(agent: Any, updates: int = 100) -> float:
    begun = time.perf_counter()
    for _ in range(updates):
        agent.learn(agent.sample())
    return (time.perf_counter() - begun) / updates * 1e3


def _require_gpu(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(f"the benchmark {name!r} needs a GPU, and PyTorch sees none here: leave it out")


def _gpu(repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of an update on a GPU: as one CUDA graph beside kernel by kernel, in bfloat16 beside float32."""
    from rl.networks import NetConfig

    pixels: dict[str, Any] = {"game": "ALE/Pong-v5", "stack": 4, "net": NetConfig(encoder="nature")}
    players: dict[str, tuple[str, dict[str, Any]]] = {
        "dqn": ("dqn", {}),
        "rainbow": ("rainbow", {}),
        "iqn": ("iqn", {}),
        "dqn_pong": ("dqn", pixels),
        "btr_lite_pong": ("btr_lite", {"game": "ALE/Pong-v5", "batch_size": 256}),
    }
    ways = {
        "graph": {"precision": "fp32"},
        "launched": {"precision": "fp32", "cuda_graph": "off"},
        "bf16": {"precision": "bf16"},
    }
    for name, (agent, fields) in players.items():
        learners = {
            way: _learner(agent, steps=2_000, device="cuda", **{**fields, **settings}) for way, settings in ways.items()
        }
        rounds = _rounds(learners, _update_ms, repeats)
        note = f"sampling and learning a batch of {fields.get('batch_size', 32)}"
        yield _beside(f"gpu_update_{name}", rounds, "graph", "launched", note + "; one CUDA graph, kernel by kernel")
        yield _beside(f"gpu_update_{name}_bf16", rounds, "bf16", "graph", note + "; bfloat16, float32, in a CUDA graph")
    for batch in (256, 2_048):
        policies = {way: _policy("cuda", batch, way) for way in ("bf16", "fp32")}
        rounds = _rounds(policies, lambda policy: policy(), repeats)
        note = f"learning {batch} rows of Pong; bfloat16, float32"
        yield _beside(f"gpu_update_ppo_pong_{batch}_bf16", rounds, "bf16", "fp32", note)


def _rounds(players: dict[str, Any], measure: Callable[[Any], float], repeats: int) -> list[dict[str, float]]:
    """What `measure` says of all players, in turns, after a warm-up."""
    for player in players.values():
        measure(player)
    return [{name: round(measure(player), 3) for name, player in players.items()} for _ in range(repeats)]


def _beside(name: str, rounds: list[dict[str, float]], ours: str, peer: str, note: str) -> dict[str, Any]:
    """A row of one of our ways beside another."""
    return {
        "name": name,
        "unit": "ms an update",
        "ours": statistics.median(r[ours] for r in rounds),
        "peer": statistics.median(r[peer] for r in rounds),
        "ratio": statistics.median(r[peer] / r[ours] for r in rounds),
        "repeats": [{"ours": r[ours], "peer": r[peer]} for r in rounds],
        "against": peer,
        "note": note,
    }


def _policy(device: str, batch: int, precision: Literal["bf16", "fp32"], rows: int = 2_048) -> Callable[[], float]:
    """PPO with a rollout of Pong: a function that learns it once, and says the milliseconds of an update."""
    import agents
    import envs
    from agents.ppo import PPOConfig
    from rl.loop import interact
    from rl.networks import NetConfig

    env = envs.make("ALE/Pong-v5", num_envs=16, seed=0, stream="train")
    config = PPOConfig(
        net=NetConfig(encoder="nature"),
        stack=4,
        rollout=rows // 16,
        minibatch_size=batch,
        epochs=1,
        precision=precision,
    )
    agent = agents.build(config, env.spec, num_envs=16, seed=0, device=device)
    for _ in interact(env, agent, rows + 16):
        pass
    env.close()

    def learn() -> float:
        rollout, before, begun = agent.rollout(config.rollout + 1), agent.updates, time.perf_counter()
        agent.learn(rollout)
        return (time.perf_counter() - begun) / (agent.updates - before) * 1e3

    return learn


def _replay() -> Iterator[dict[str, Any]]:
    """Memory of a million rows and the time of a batch, on random play of eight games."""
    from rl.frames import benchmark

    for game in GAMES:
        row = benchmark(game, _frames(f"ALE/{game}-v5"), rows=100_000)
        common = {"peer": None, "ratio": None, "repeats": [row]}
        yield {"name": f"replay_{game}_memory", "unit": "GB a million rows", "ours": row["gb_per_million"], **common}
        yield {"name": f"replay_{game}_sample", "unit": "ms a batch of 32", "ours": row["sample_ms"], **common}


def _sampling(repeats: int) -> Iterator[dict[str, Any]]:
    """The part of DQN's update on Pong, 3-step windows of 4 compressed frames, that sampling takes; one thread."""
    import torch

    torch.set_num_threads(1)
    agent = _learner("dqn", "ALE/Pong-v5", stack=4, n_step=3, store="compressed", precision="fp32")
    _update_ms(agent, updates=5)  # the warm-up
    rounds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        drawn = [agent.sample() for _ in range(20)]
        sampled = time.perf_counter()
        for windows in drawn:
            agent.learn(windows)
        took = sampled - begun, time.perf_counter() - sampled
        rounds.append({"ours": round(took[0] / sum(took), 4), "milliseconds": round(sum(took) / 20 * 1e3, 2)})
    yield {
        "name": "sampling_pong",
        "unit": "of an update's time",
        "ours": statistics.median(r["ours"] for r in rounds),
        "peer": None,
        "ratio": None,
        "repeats": rounds,
        "note": "a batch of 32 three-step windows, four frames each, from the compressed store; update in float32",
    }


def _frames(env: str) -> Iterator[np.ndarray]:
    import envs

    world, rng = envs.make(env, num_envs=4), np.random.default_rng(0)
    actions = world.spec.action.nvec[0]
    ts = world.reset()
    while True:
        yield ts.obs["obs"]
        ts = world.step(rng.integers(0, actions, 4))


def _arcade(repeats: int) -> Iterator[dict[str, Any]]:
    """Steps a second beside the PyPI package minatar, in turns, and seconds until a game can be played."""
    from envs.arcade import GAMES
    from envs.arcade.bench import benchmark, first_uses

    for game in GAMES:
        pairs: list[dict[str, Any]] = [
            {"ours": round(benchmark(game, seconds=0.5)), "peer": minatar_speed(game)} for _ in range(repeats)
        ]
        peers = [p["peer"] for p in pairs if p["peer"] is not None]
        yield {
            "name": f"arcade_{game}",
            "unit": "steps/s of one core",
            "ours": statistics.median(p["ours"] for p in pairs),
            "peer": statistics.median(peers) if peers else None,
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs) if peers else None,
            "repeats": pairs,
            "against": "minatar",
            "note": "random play with sticky actions and ramping, observations included: 1,024 environments, minatar 1",
        }
    for game in GAMES:
        for name, seconds in zip(("first", "later"), first_uses(game), strict=True):
            common = {"peer": None, "ratio": None, "repeats": [seconds]}
            yield {"name": f"arcade_{game}_{name}_use", "unit": "s of one core", "ours": seconds, **common}


def _pqn(repeats: int, steps: int = 300_000) -> Iterator[dict[str, Any]]:
    """Minutes that PQN on the arcade games takes, from the speed of its first steps; evaluations left out."""
    from runs.listing import recipe_names
    from runs.recipe import resolve
    from runs.train import train

    for recipe in (name for name in recipe_names() if name.startswith("arcade_") and name.endswith("_pqn")):
        budget = resolve(recipe).steps
        run = resolve(recipe, steps=steps, settings=["eval_episodes=1", "eval_max_steps=1"])
        rounds = []
        for seed in range(min(repeats, 3) + 1):  # the first is the warm-up
            with tempfile.TemporaryDirectory() as folder:
                done = train(run, seed=seed, out=Path(folder) / "run", device="cpu")
            if seed:
                speed = round(done["steps_per_second"], 1)
                rounds.append({"ours": round(budget / speed / 60, 2), "steps_per_second": speed})
        yield {
            "name": recipe,
            "unit": f"minutes for {budget:,} steps",
            "ours": statistics.median(r["ours"] for r in rounds),
            "peer": None,
            "ratio": None,
            "repeats": rounds,
            "note": f"from trainings of {steps:,} steps",
        }


def minatar_speed(game: str, seconds: float = 0.5) -> int | None:
    """Steps a second of minatar's game in random play, observations included; None where it is not installed."""
    from envs.arcade import GAMES

    try:
        from minatar import Environment
    except ImportError:
        return None
    env = Environment(GAMES[game])
    actions = np.random.default_rng(0).choice(env.minimal_action_set(), 1024).tolist()
    env.reset()
    steps, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < seconds:
        for action in actions:
            if env.act(action)[1]:
                env.reset()
            env.state()
        steps += len(actions)
    return round(steps / elapsed)


VIEWS = {"arcade": "arcade_space_invaders_rainbow", "ale_saliency": "pong_dqn"}
"""Recipes whose games are drawn, the second with the saliency overlay."""


def _viewer(repeats: int) -> Iterator[dict[str, Any]]:
    """Frames a second with all panels at 800x600: stepping, thinking, drawing; and seconds to a first frame."""
    import torch

    from envs.drawing import Canvas, no_display
    from runs.watch import SIZE

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, no_display():
        for name, recipe in VIEWS.items():
            run = _untrained(recipe, Path(folder) / name)
            canvas = Canvas(*SIZE)
            looks = [_look_on(run, canvas, saliency="saliency" in name) for _ in range(repeats)]
            none: dict[str, Any] = {"peer": None, "ratio": None}
            note = f"{recipe}, untrained, all panels at {SIZE[0]}x{SIZE[1]}, one thread, no window"
            for what, unit, i in (("frames", "frames/s", 0), ("first_frame", "s to the first frame", 1)):
                rows = [{"ours": round(look[i], 2)} for look in looks]
                median = statistics.median(row["ours"] for row in rows)
                yield {
                    "name": f"viewer_{name}_{what}",
                    "unit": unit,
                    "ours": median,
                    **none,
                    "repeats": rows,
                    "note": note,
                }


def _untrained(recipe: str, out: Path) -> Path:
    """A run folder of the recipe with a checkpoint after hardly any step."""
    from runs.train import train

    settings = ("agent.learning_starts=50", "eval_every=0", "eval_episodes=1", "eval_max_steps=500", "threads=1")
    train(recipe, steps=64, settings=settings, out=out, device="cpu", track="off")
    return out


def _look_on(run: Path, canvas: Any, saliency: bool, frames: int = 200) -> tuple[float, float]:
    """(frames a second, seconds from the call to the first frame, imports left out where they are done)."""
    from runs.watch import draw, open_player

    begun = time.perf_counter()
    with open_player(run) as player:
        player.show_saliency = saliency and player.can_show_saliency()
        player.look()
        draw(canvas, player)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(frames):
            player.step()
            player.look()
            draw(canvas, player)
        return frames / (time.perf_counter() - begun), first


def _watcher(repeats: int) -> Iterator[dict[str, Any]]:
    """A training with a viewer that follows it, paused and playing, beside the same training alone, in turns."""
    rows = [{how: _watched(how, seed) for how in ("alone", "paused", "playing")} for seed in range(repeats)]
    for how in ("paused", "playing"):
        pairs = [
            {
                "ours": round(row[how]["speed"], 1),
                "peer": round(row["alone"]["speed"], 1),
                "cpu_ratio": round(row["alone"]["cpu"] / row[how]["cpu"], 4),
                "watcher_core": row[how]["watcher"],
            }
            for row in rows
        ]
        yield {
            "name": f"watcher_{how}",
            "unit": "steps/s",
            "ours": statistics.median(p["ours"] for p in pairs),
            "peer": statistics.median(p["peer"] for p in pairs),
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs),
            "cpu_ratio": statistics.median(p["cpu_ratio"] for p in pairs),
            "watcher_core": statistics.median(p["watcher_core"] for p in pairs),
            "repeats": pairs,
            "against": "alone",
            "note": "the second half of cartpole_dqn's 50,000 steps, one thread; cpu_ratio: the training's processor "
            "time alone over that with the watcher; watcher_core: the part of a core that the watcher takes; "
            f"{_cores()} cores",
        }


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watched(how: str, seed: int) -> dict[str, float]:
    """Steps a second of the second half of a training, its processor seconds, and the watcher's part of a core."""
    import psutil

    from envs.drawing import no_display
    from runs.folder import read_jsonl
    from runs.train import train
    from runs.watch import open_viewer

    settings = ["threads=1", "log_every=1000", "save_every=5000", "eval_every=0", "eval_episodes=1", "eval_max_steps=1"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with no_display():
            viewer = None if how == "alone" else open_viewer(run, paused=how == "paused")
        try:
            begun = time.process_time()
            result = train("cartpole_dqn", seed=seed, settings=settings, out=run, device="cpu")
            cpu = time.process_time() - begun
            watcher = 0.0
            if viewer is not None:
                if viewer.poll() is not None:
                    raise RunError(f"the watcher ended with status {viewer.returncode}: nothing was measured")
                watcher = psutil.Process(viewer.pid).cpu_percent(3.0) / 100
        finally:
            if viewer is not None:
                viewer.terminate()
                viewer.wait()
        lines = [line for line in read_jsonl(run / "metrics.jsonl") if line["step"] >= result["steps"] / 2]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    return {"speed": (lines[-1]["step"] - lines[0]["step"]) / seconds, "cpu": cpu, "watcher": watcher}
