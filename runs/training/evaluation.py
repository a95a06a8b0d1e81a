"""Whole games with an agent that does not learn: the score everything else is judged by."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import agents
import envs
from agents.base import Actor, Agent
from envs.config import EnvConfig
from rl import checkpoint
from rl.device import PRECISIONS, fast_bf16, in_precision
from rl.errors import InputError, RunError
from rl.interface import Env, EnvSpec, TimeStep
from rl.seeding import derive_seed
from rl.segments import SegmentStore
from rl.stats import iqm
from rl.storage import read_json
from runs.folder.run_folder import GENERATIONS, Located
from runs.folder.run_folder import resolve as locate
from runs.folder.trust import Trust
from runs.recipe import Run, from_document
from runs.training.exact import exact_return

if TYPE_CHECKING:
    from rl.ranks import Ranks

log = logging.getLogger(__name__)

ENDLESS = 27_000
"""Steps after which a game that counts is cut where the environment names no limit: Atari's half an hour."""


MEETING = 100
"""Rows that ranks play between two meetings of an evaluation."""
WORDS = 200
"""Bytes of an error's text that one rank sends to the others."""
WHERE_KNOWN = ("exact", "optimum", "sides")
"""Fields of a score that are left out if they are not known."""


@dataclass(frozen=True)
class Score:
    """The result of an evaluation: undiscounted, unclipped returns of whole games."""

    env: str
    agent: str
    """What people call it: its name, or the preset it is."""
    step: int
    """Counted training steps of the policy that played."""
    episodes: int
    mean: float
    std: float
    iqm: float
    """Interquartile mean over the games."""
    returns: list[float]
    lengths: list[int]
    """Steps of each game."""
    seeds: list[int]
    """Environment seed of each game."""
    protocol: str = ""
    sample: bool = False
    exact: float | None = None
    """Exact expected return of the policy, if the environment has a known model (`runs.training.exact`)."""
    optimum: float | None = None
    """The best expected return there is, if it has."""
    sides: dict[str, dict[str, int]] | None = None
    """Board games: `games`, `won`, `drawn` and `lost` of the agent as `first` and as `second` player."""

    def to_json(self) -> dict[str, Any]:
        found = {"schema": 1, **dataclasses.asdict(self)}
        return {name: value for name, value in found.items() if value is not None or name not in WHERE_KNOWN}


def load(
    path: str | Path, *, device: str = "auto", trust: Trust = False, sb3: bool = False, env: str | None = None
) -> Agent:
    """The agent of a run folder (newest good checkpoint) or of one checkpoint folder, ready to act.

    trust: import code that the folder names, even if this machine did not write the folder.
    sb3: `path` is a model that Stable-Baselines3 saved (DQN, PPO, A2C, SAC or TD3): its weights are read, and nothing
        in it is run. `env` names its environment if the spaces cannot be read off the file.
    """
    if sb3:
        from runs.sharing.sb3_zip import read

        return read(path, env, pick_device(device)).agent
    return load_run(path, device=device, trust=trust)[0]


def load_run(path: str | Path, *, device: str = "auto", trust: Trust = False) -> tuple[Agent, Run]:
    """The agent and the run it was trained by. Raises `InputError` if there is no good checkpoint, or no trust.

    Its arithmetic is that of its training, as far as this processor has it (`loaded_config`).
    """
    found = locate(path)
    for line in found.skipped:
        print(line, file=sys.stderr)
    run = from_document(found.manifest["extra"], found.checkpoint / "manifest.json", trust)
    spec = envs.spec(run.env, run.env_config)
    config = loaded_config(run, found)
    agent = agents.build(config, spec, num_envs=run.num_envs, seed=run.seed, device=pick_device(device))
    put_back(agent, found.checkpoint)
    return agent, run


def loaded_config(run: Run, found: Located) -> Any:
    """The config by which the agent of a run that exists is built again: `precision=auto` is what run.json names.

    What was trained in bfloat16 acts in float32 where the processor only emulates bfloat16, which takes ten times as
    long. A checkpoint apart from its run acts in float32; a generation of self-play is of the run around it.
    """
    outer = found.checkpoint.resolve().parent.parent
    file = (found.run or (outer.parent if outer.name == GENERATIONS else outer)) / "run.json"
    precision = precision_of(read_json(file) if file.is_file() else {})
    return in_precision(run.agent, precision if precision == "fp32" or fast_bf16(torch.device("cpu")) else "fp32")


def precision_of(info: Any) -> str:
    """What a run computes in, by its run.json; float32 if that does not say."""
    choices = info.get("choices") if isinstance(info, Mapping) else None
    named = choices.get("precision") if isinstance(choices, Mapping) else None
    return named if named in PRECISIONS else "fp32"


def put_back(agent: Agent, folder: Path) -> None:
    """Gives `agent` the weights of a checkpoint. Raises `CheckpointError` if they do not fit or are not finite."""
    state = checkpoint.load_tree(folder, "agent")
    with checkpoint.putting_back(folder):
        _require_fitting(state, agent.agent_state(), folder)
        agent.load_agent_state(state)


def restore(agent: Agent, saved: Path) -> None:
    """Gives `agent` all of its state in a checkpoint of a run folder, to learn on: with replay and optimizer.

    Raises `CheckpointError` if something of it is missing or damaged.
    """
    manifest = checkpoint.verify(saved, "size")
    for start, stop, rows in SegmentStore(saved.parent.parent, manifest["segments"]):
        agent.replay.restore(start, stop, rows)
    put_back(agent, saved)
    with checkpoint.putting_back(saved):
        agent.load_learner_state(checkpoint.load_tree(saved, "learner"))


def _require_fitting(state: Any, own: Any, folder: Path, name: str = "") -> None:
    """`CheckpointError` for a value of another type than the agent's own, or an array with a number not finite."""
    for kind in (int, Mapping):
        if isinstance(own, kind) and not isinstance(state, kind):
            raise checkpoint.CheckpointError(f"{folder} does not fit: {name or 'the agent'} is {type(state).__name__}")
    if isinstance(state, Mapping):
        for key, value in state.items():
            beside = own.get(key) if isinstance(own, Mapping) else None
            _require_fitting(value, beside, folder, f"{name}.{key}" if name else str(key))
    elif hasattr(state, "dtype"):
        if hasattr(own, "dtype") and state.dtype != own.dtype:
            raise checkpoint.CheckpointError(f"{folder} does not fit: {name} is {state.dtype}, not {own.dtype}")
        array = torch.as_tensor(state)
        if array.is_floating_point() and not bool(torch.isfinite(array).all()):
            raise checkpoint.CheckpointError(f"{folder} cannot play: {name} holds a number that is not finite")


def evaluate(
    path: str | Path,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    sample: bool | None = None,
    device: str = "auto",
    trust: Trust = False,
) -> dict[str, Any]:
    """Plays `episodes` whole games with the policy of a run and returns the `Score` as plain JSON.

    Arguments that are left out take the run's own values. Without any, the games and the score equal those of the run's
    final evaluation.
    """
    agent, run = load_run(path, device=device, trust=trust)
    score = play_games(
        agent,
        run,
        episodes=run.eval_episodes if episodes is None else episodes,
        seed=run.seed if seed is None else seed,
        sample=run.eval_sample if sample is None else sample,
    )
    return score.to_json()


def play_games(
    agent: Agent,
    run: Run,
    *,
    episodes: int,
    seed: int,
    sample: bool = False,
    num_envs: int = 8,
    tell: Callable[[int], None] | None = None,
    ranks: Ranks | None = None,
) -> Score:
    """Plays the games 0 .. episodes-1 of `seed`. Game j's seeds depend on (seed, j) alone; every game counts.

    `tell` is called after each step with the number of games that are over.
    If actions are drawn at random, the games are played one after the other, each with its own generator.
    ranks: processes that call this together with equal arguments and weights; each plays a part of the games, and all
        return the score of all games, which is that of one process.

    Raises RunError if another rank fails.
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, got {episodes}")
    if agent.draws(sample):
        num_envs = 1
    config = game_config(run, agent.spec)
    own = range(episodes) if ranks is None else ranks.part(episodes)
    record = GameRecord(episodes, own)
    count = min(num_envs, episodes)  # of each rank too: as many rows give the same bits
    listed: dict[str, Any] = {"games": max(1, len(own)), "first": own.start}
    with envs.make(run.env, num_envs=count, seed=seed, stream="evaluate", config=config, **listed) as env:
        rows = _rows(env, agent.actor(count, seed, stream="evaluate", sample=sample), record)
        if ranks is not None:
            play_together(ranks, rows, record, tell)
        else:
            for over in rows:
                if tell is not None:
                    tell(over)
    returns = record.returns
    if config is not run.env_config and run.eval_max_steps is None and (ranks is None or ranks.rank == 0):
        _warn_of_cut_games(run.env, record.lengths)
    horizon = env.spec.max_episode_steps or run.env_config.options.get("max_episode_steps") or ENDLESS
    exact = exact_return(agent, horizon, sample) if isinstance(agent, Agent) else None
    return Score(
        env=run.env,
        agent=agents.title(agent.config) if isinstance(agent, Agent) else agent.name,
        step=agent.step,
        episodes=episodes,
        mean=float(returns.mean()),
        std=float(returns.std()),
        iqm=float(iqm(returns)),
        returns=[float(r) for r in returns],
        lengths=[int(n) for n in record.lengths],
        seeds=[derive_seed(seed, "evaluate", j) for j in range(episodes)],
        protocol=agent.spec.protocol,
        sample=sample,
        exact=None if exact is None else exact.value,
        optimum=None if exact is None else exact.optimum,
        sides=record.sides(),
    )


def _rows(env: Env, actor: Actor, record: GameRecord) -> Iterator[int]:
    """Plays the record's own games; gives after each step the number of those that are over."""
    if record.complete:
        return
    ts = env.reset()
    record.add(ts)
    while not record.complete:
        ts = env.step(actor.act(ts))
        record.add(ts)
        yield record.over


def play_together(
    ranks: Ranks, rows: Iterator[int], record: GameRecord, tell: Callable[[int], None] | None = None
) -> None:
    """Plays this rank's `rows` while the others play theirs, and gives every rank's record all games.

    The ranks meet after every `MEETING` rows, so that a failure or a request to stop on one of them ends it on all.
    """
    others = 0
    failure: BaseException | None = None
    while True:
        try:
            for over in itertools.islice(rows, MEETING):
                if tell is not None:
                    tell(others + over)
        except BaseException as error:  # Ctrl-C too: the others wait for this rank
            failure = error
        reason = "" if failure is None else f"{type(failure).__name__}: {failure}"
        said = [record.over, record.complete, failure is not None]
        sent = np.concatenate([np.array(said, np.int64).view(np.uint8), padded(reason)])
        met = ranks.gather(sent)
        numbers = np.array([m[: len(sent) - WORDS].view(np.int64) for m in met])
        if failure is not None:
            raise failure
        for rank in np.flatnonzero(numbers[:, 2]):
            reason = met[rank][-WORDS:].tobytes().decode(errors="replace").strip()
            raise RunError(f"the evaluation games of rank {rank} failed: {reason}")
        others = int(numbers[:, 0].sum()) - record.over
        if numbers[:, 1].all():
            break
    record.take([m.view(np.float64) for m in ranks.gather(record.numbers().view(np.uint8))])


def padded(text: str) -> np.ndarray:
    """The beginning of a text as uint8 [WORDS]."""
    return np.frombuffer(text.encode()[:WORDS].ljust(WORDS), np.uint8)


def _warn_of_cut_games(env: str, lengths: np.ndarray) -> None:
    if cut := int((lengths >= ENDLESS).sum()):
        log.warning(
            "%s names no time limit: %d of %d games were cut at %s steps (eval_max_steps sets another number)",
            env,
            cut,
            len(lengths),
            f"{ENDLESS:,}",
        )


def game_config(run: Run, spec: EnvSpec) -> EnvConfig:
    """The environment's config for evaluation games, with `eval_max_steps` or, if nothing sets a limit, a default one.

    Without a limit, a policy that runs in circles (in CliffWalking, say) would never end its evaluation.
    """
    if run.eval_max_steps is not None:
        return dataclasses.replace(run.env_config, max_steps=run.eval_max_steps)
    if spec.max_episode_steps is None and run.env_config.options.get("max_episode_steps") is None:
        return dataclasses.replace(run.env_config, max_steps=ENDLESS)
    return run.env_config


class GameRecord:
    """Return and length of each game of a fixed list, in the list's order.

    own: the numbers of the games that are played here; all if left out.
    """

    def __init__(self, games: int, own: range | None = None) -> None:
        self.returns = np.zeros(games)
        self.lengths = np.zeros(games, np.int64)
        self._own = slice(0, games) if own is None else slice(own.start, own.stop)
        self._done = np.zeros(games, bool)
        self._seats: np.ndarray | None = None
        """The agent's seat in each game, 0 if it moves first; None if the environment names none."""

    @property
    def over(self) -> int:
        """Own games that have ended."""
        return int(self._done[self._own].sum())

    @property
    def complete(self) -> bool:
        return bool(self._done[self._own].all())

    def numbers(self) -> np.ndarray:
        """Returns, lengths and seats (-1 if unknown) of all games, those of others zero: float64 [3 * games]."""
        seats = np.full(len(self.returns), -1.0)
        if self._seats is not None:
            seats[self._own] = self._seats[self._own]
        return np.concatenate([self.returns, self.lengths, seats])

    def take(self, parts: list[np.ndarray]) -> None:
        """Takes the games of all ranks, from the `numbers` of each."""
        returns, lengths, seats = np.array(parts).reshape(len(parts), 3, -1).swapaxes(0, 1)
        self.returns, self.lengths = returns.sum(0), lengths.sum(0).astype(np.int64)
        found = seats.max(0).astype(int)
        self._seats = None if (found < 0).all() else found

    def add(self, ts: TimeStep) -> None:
        """Takes a row. Its info["game"] is the number of the game that each environment plays, -1 for none."""
        game = ts.info["game"]
        playing = game >= 0
        counted = playing & ~ts.first
        self.returns[game[counted]] += ts.exact_reward[counted]
        self.lengths[game[counted]] += 1
        self._done[game[playing & ts.last]] = True
        if "seat" in ts.info:  # 0 or 1; None if an environment is idle
            self._seats = np.zeros(len(self.returns), int) if self._seats is None else self._seats
            self._seats[game[playing]] = [ts.info["seat"][i] for i in np.flatnonzero(playing)]

    def sides(self) -> dict[str, dict[str, int]] | None:
        """See `Score.sides`."""
        if self._seats is None:
            return None
        found = {}
        for seat, name in enumerate(("first", "second")):
            won = self.returns[self._seats == seat]
            counts = {"won": int((won > 0).sum()), "drawn": int((won == 0).sum()), "lost": int((won < 0).sum())}
            found[name] = {"games": len(won), **counts}
        return found


def pick_device(device: str) -> str:
    """cpu or cuda; auto takes a GPU if there is one. Raises InputError if `cuda` is asked for and there is no GPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"device {device!r}: expected auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {device!r}: PyTorch sees no GPU here; use --device cpu")
    return device
