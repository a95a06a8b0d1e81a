"""Data-parallel training of one run: `rl train RECIPE --ranks N`, or the same command under `torchrun`.

Every rank steps its own part of the environments, by global index, and encodes their observations for acting. The ranks
exchange rows and features, so that each of them holds the same agent, replay and counters as a single process would. A
minibatch's gradient is the sum of the parts that the ranks compute (`agents.rollout`, `agents.value`). So the training
is that of one process with the same global batch, but for the order of a sum; advantages, moments, the KL stop, drawn
samples, priorities and the clipped norm are those of the whole batch.

Rank 0 is the run: it logs, saves and decides. The others follow its orders between two steps; the games of an
evaluation are played by all.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import agents
import envs
from agents.base import Agent
from agents.rollout import RolloutAgent
from agents.value import ValueAgent
from envs.boards import plays_itself
from rl import checkpoint, ranks
from rl.cores import usable_cores
from rl.device import PRECISIONS, in_precision, keep_freed_memory
from rl.errors import InputError, RunError
from rl.interface import EnvSpec, TimeStep
from rl.loop import interact
from rl.ranks import Ranks
from rl.storage import load_tree, save_tree
from runs.folder.places import ROOT
from runs.folder.processes import ending_signals
from runs.recipe import Run, describe
from runs.settings.plain import from_json
from runs.training.evaluation import WORDS, padded, play_games, restore

STEP, STATE, END, PLAY = range(4)
"""Rank 0's orders: take a step, send the environments' state, end, play a part of the evaluation games."""
ENDING = 30
"""Seconds that the other ranks have to end."""


class Ended(Exception):
    """Rank 0 has ordered the end."""


class ShardedEnv:
    """The run's environments as one stream of rows, of which this rank steps its part."""

    def __init__(self, run: Run, ranks: Ranks) -> None:
        self.ranks, self.num_envs = ranks, run.num_envs
        own = run.num_envs // ranks.count
        self._part = slice(ranks.rank * own, (ranks.rank + 1) * own)
        self._env = envs.make(run.env, num_envs=own, seed=run.seed, config=run.env_config, first=self._part.start)
        self.spec = self._env.spec
        ranks.await_turn = self.await_turn
        self.play: Callable[[int], Any] = lambda games: None
        """Plays this rank's part of so many evaluation games; set by `follow`."""
        self._apart = False
        """Whether a step failed on one rank, so that the ranks are at different rows."""

    def reset(self) -> TimeStep:
        self._row = self._env.reset()
        return self._gathered(self._row)

    def step(self, action: np.ndarray) -> TimeStep:
        error = ""
        try:
            self._row = self._env.step(action[self._part])
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        return self._gathered(self._row, error)

    def await_turn(self) -> None:
        """Rank 0 orders a step; the others carry out orders until that one comes. Raises `Ended` at the end."""
        if self.ranks.rank == 0:
            self.ranks.order(STEP)
            return
        while (order := self.ranks.order()) != STEP:
            if order == END:
                raise Ended
            if order == PLAY:
                with contextlib.suppress(Exception):  # rank 0 has it too, and reports it
                    self.play(self.ranks.order())
                continue
            self.ranks.gather_any(packed(self._env.state_dict()))

    def order_games(self, games: int) -> None:
        """Makes the other ranks play their part of an evaluation, as rank 0 now does."""
        self.ranks.order(PLAY)
        self.ranks.order(games)

    def state_dict(self) -> dict[str, Any]:
        """The state of every rank's environments; on rank 0 alone."""
        if self._apart:
            raise RunError("the ranks' environments are at different rows; the last checkpoint stays")
        self.ranks.order(STATE)
        return {"ranks": [unpacked(state) for state in self.ranks.gather_any(packed(self._env.state_dict()))]}

    def load_state_dict(self, state: dict[str, Any]) -> TimeStep:
        if len(state.get("ranks", [])) != self.ranks.count:
            raise InputError(f"the saved state is not of {self.ranks.count} ranks: resume with the run's own number")
        self._row = self._env.load_state_dict(state["ranks"][self.ranks.rank])
        return self._gathered(self._row)

    def _gathered(self, row: TimeStep, error: str = "") -> TimeStep:
        """The row of all environments, of every rank's own. Raises RunError on all ranks if one has an error."""
        named = {f"obs.{name}": leaf for name, leaf in row.obs.items()}
        named |= {name: x for name, x in row._asdict().items() if name not in ("obs", "info") and x is not None}
        named["exact"] = row.exact_reward
        flat = [np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in named.values()]
        parts = self.ranks.gather(np.concatenate([padded(error), *flat]))
        for rank, part in enumerate(parts):
            if said := part[:WORDS].tobytes().decode(errors="replace").strip():
                self._apart = True
                raise RunError(f"the environments of rank {rank} failed: {said}")
        place, whole = WORDS, dict[str, np.ndarray]()
        for name, x in named.items():
            pieces = [np.frombuffer(part[place : place + x.nbytes].tobytes(), x.dtype) for part in parts]
            whole[name], place = np.concatenate(pieces).reshape(-1, *x.shape[1:]), place + x.nbytes
        obs = {name: whole.pop(f"obs.{name}") for name in row.obs}
        info = {"exact_reward": whole.pop("exact")}
        return TimeStep(obs=obs, info=info, mask=whole.pop("mask", None), **whole)

    def render(self) -> list[np.ndarray]:
        raise InputError("the environments of several ranks have no pictures")

    def glide(self, part: float) -> list[np.ndarray] | None:
        return None

    def close(self) -> None:
        if self.ranks.rank == 0:
            with contextlib.suppress(RunError):
                self.ranks.order(END)
        self._env.close()


def packed(tree: Any) -> bytes:
    """A tree of values and arrays as bytes, by the files of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        save_tree(Path(folder), "state", tree)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    head = json.dumps({name: len(data) for name, data in files.items()}).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *files.values()])


def unpacked(data: bytes) -> Any:
    size = 8 + int.from_bytes(data[:8], "little")
    with tempfile.TemporaryDirectory() as folder:
        for name, length in json.loads(data[8:size]).items():
            (Path(folder) / Path(name).name).write_bytes(data[size : size + length])
            size += length
        return load_tree(Path(folder), "state")


def require_ranks(run: Run, count: int) -> None:
    """Raises InputError if the run cannot be trained by `count` ranks."""
    cores = usable_cores()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", count)) if _by_torchrun() else count
    kind = agents.load(agents.name_of(run.agent))
    if not issubclass(kind, RolloutAgent | ValueAgent):
        others = "ppo, a2c, pqn, reinforce and dqn's family"
        raise InputError(f"--ranks {count}: {kind.name} cannot be sharded; {others} can")
    if run.overlap:
        raise InputError(f"--ranks {count}: the ranks act and learn in turn: leave overlap=true out")
    if issubclass(kind, ValueAgent) and run.agent.batch_size < count:
        raise InputError(f"--ranks {count} is more than batch_size {run.agent.batch_size}: raise batch_size")
    if run.num_envs % count:
        what = "more than" if count > run.num_envs else "no divisor of"
        raise InputError(f"--ranks {count} is {what} the {run.num_envs} environments: set --num-envs to a multiple")
    if plays_itself(run.env_config.options.get("opponent")):
        raise InputError(f"--ranks {count}: a learner that is its own opponent has one process: leave --ranks out")
    if local > cores:
        raise InputError(f"--ranks {count} is more than the {cores} cores that this process has: set at most {cores}")


def follows() -> bool:
    """Whether torchrun started this process as another rank than 0."""
    return _by_torchrun() and os.environ["RANK"] != "0"


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def wanted(given: int | None, saved: int | None = None) -> int:
    """How many ranks train: those of `--ranks`, of torchrun, or of the run that is resumed.

    Raises InputError if they differ.
    """
    counts = {"--ranks": given, "torchrun": int(os.environ["WORLD_SIZE"]) if _by_torchrun() else None, "the run": saved}
    known = {name: count for name, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        words = ", ".join(f"{name} has {count}" for name, count in known.items())
        raise InputError(f"the number of ranks is fixed when a training begins, and {words}: use the same one")
    return next(iter(known.values()), 1)


@contextlib.contextmanager
def joined(run: Run, count: int, device: str, saved: Path | None = None) -> Iterator[Ranks | None]:
    """The ranks of a training, of which this process is one; None if there is only one.

    Starts the others unless torchrun has. saved: the checkpoint from which they continue.
    """
    if count == 1:
        yield None
        return
    require_ranks(run, count)
    if device != "cpu":
        raise InputError(f"--ranks {count} needs --device cpu: each rank has a core")
    if _by_torchrun():
        if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
            _loopback()
        with Ranks(int(os.environ["RANK"]), count) as found:
            yield found
        return
    _loopback()
    store = dist.TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False, **_store())
    document = {"run": describe(run), "port": store.port, "count": count, "saved": saved and str(saved.resolve())}
    others = [_start({**document, "rank": rank}) for rank in range(1, count)]
    try:
        _await(store, others)
        with Ranks(0, count, store) as found:
            yield found
        for other in others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(ENDING)
    finally:
        for other in others:
            if other.poll() is None:
                other.kill()
            other.wait()


def _store() -> dict[str, Any]:
    """Arguments of the store through which ranks meet. PyTorch's packages for Windows have no libuv."""
    return {"timeout": timedelta(seconds=ranks.JOIN_SECONDS), "use_libuv": sys.platform != "win32"}


def _loopback() -> None:
    """All ranks are on this machine: they meet without its name and its network."""
    if sys.platform != "win32":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")


def _start(document: dict[str, Any]) -> subprocess.Popen[bytes]:
    paths = [str(ROOT), *(path for path in sys.path if path), os.getcwd()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    other = subprocess.Popen(
        [sys.executable, "-P", "-m", "runs.training.ranks"], env=environment, stdin=subprocess.PIPE, stdout=2
    )
    assert other.stdin is not None
    with contextlib.suppress(OSError):  # it has ended: `_await` says so
        other.stdin.write(json.dumps(document).encode())
        other.stdin.close()
    return other


def _await(store: Any, others: list[subprocess.Popen[bytes]]) -> None:
    """Waits until every other rank is there. Raises InputError if one has ended, or after `JOIN_SECONDS`."""
    for rank, other in enumerate(others, 1):
        end = time.monotonic() + ranks.JOIN_SECONDS
        while not store.check([f"ready {rank}"]):
            if other.poll() is not None:
                raise InputError(f"rank {rank} ended before the training began, with exit status {other.returncode}")
            if time.monotonic() > end:
                raise InputError(f"rank {rank} did not reach the others within {ranks.JOIN_SECONDS} s")
            time.sleep(0.02)


def follow(run: Run, ranks: Ranks, learner: Agent, env: Any, saved: Path | None = None) -> None:
    """The training of a rank beside rank 0: the same agent, without files; ends when rank 0 says so.

    saved: the checkpoint to continue from.
    """
    for s in (signal.SIGINT, *ending_signals()):  # rank 0 decides
        signal.signal(s, signal.SIG_IGN)
    keep_freed_memory()
    if run.threads:
        torch.set_num_threads(run.threads)
    fixed: dict[str, Any] = {"seed": run.seed, "sample": run.eval_sample, "ranks": ranks}
    env.play = lambda games: play_games(learner, run, episodes=games, **fixed)
    try:
        step, row = 0, None
        if saved is not None:
            session = checkpoint.load_tree(saved, "session")
            restore(learner, saved)
            step, row = session["step"], env.load_state_dict(session["env"])
        with contextlib.suppress(ArithmeticError, RunError):  # rank 0 has it too, and reports it
            for _ in interact(env, learner, run.steps, step=step, ts=row):
                pass
        env.await_turn()
    except (Ended, RunError):
        pass  # a rank has ended: rank 0 reports it, unless it is the one
    finally:
        env.close()


def built(run: Run, spec: EnvSpec, ranks: Ranks | None, device: str, precision: str | None = None) -> Agent:
    """The learner, which computes its part of each gradient if there are several ranks.

    `precision=auto` measures, and a second measurement may come out differently. So the ranks take what rank 0 chose,
    and a run that is resumed takes `precision`, what it had before.
    """
    automatic = getattr(run.agent, "precision", None) == "auto"
    if automatic and ranks is not None and ranks.rank:
        precision = PRECISIONS[ranks.order()]
    config = in_precision(run.agent, precision)
    learner: Any = agents.build(config, spec, num_envs=run.num_envs, seed=run.seed, device=device)
    if automatic and ranks is not None and ranks.rank == 0:
        ranks.order(PRECISIONS.index(learner.choices()["precision"]))
    learner.ranks = ranks
    return learner  # type: ignore[no-any-return]


def main() -> None:
    """One of the other ranks; standard input has what `joined` wrote."""
    document = json.loads(sys.stdin.read())
    run = from_json(Run, document["run"])
    store = dist.TCPStore("127.0.0.1", document["port"], document["count"], is_master=False, **_store())
    spec = envs.spec(run.env, run.env_config)
    store.set(f"ready {document['rank']}", "")
    own = Ranks(document["rank"], document["count"], store)
    saved = Path(document["saved"]) if document["saved"] else None
    follow(run, own, built(run, spec, own, "cpu"), ShardedEnv(run, own), saved)


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError, RuntimeError) as error:
        sys.exit(" ".join(str(error).split())[:300])
