"""Weights & Biases and TensorBoard as readers of the run: they receive its numbers, and can neither stop nor change it.

    tracker = track("auto", folder=path, env="CartPole-v1", agent="dqn", seed=0, config=info, command=sys.argv)
    tracker.log(step, {"train/loss": 0.1})           # one call for each line of metrics.jsonl
    tracker.finish("done")

`track("offline,tensorboard", ...)` writes to both.

One background thread makes every call to W&B; the caller only puts it into a queue. Any failure there (package missing,
no network, full disk, an exception in a call) becomes one line of warning and ends the tracking; the run folder has
everything. `wandb` is imported in that thread, when it is used. Start environment workers before, or by spawn: a
process with threads must not be forked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import queue
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rl.errors import InputError, unknown
from rl.redact import redact, redact_command
from rl.storage import plain

Mode = Literal["auto", "online", "offline", "off"]

PROJECT = "ludo-rl"
"""The W&B project, unless WANDB_PROJECT is set."""
_MODES: dict[str, Mode] = {"offline": "offline", "dryrun": "offline", "online": "online", "disabled": "off"}
"""The values of WANDB_MODE."""


class Tracker:
    """Tracking that is off, and the interface of trackers."""

    mode = "off"
    state: dict[str, Any] | None = None
    """The part of run.json from which a resumed training continues the same W&B run."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Numbers by name at `step`: one call for each line of metrics.jsonl."""

    def log_evaluation(self, step: int, score: Any) -> None:
        """A Score, or a mapping of `returns, lengths, seeds` (one number a game) and of single numbers."""

    def log_histogram(self, step: int, name: str, values: Any) -> None:
        """How numbers of any shape are distributed at `step`."""

    def log_video(self, path: Path, step: int, name: str = "video") -> None:
        """A finished video file."""

    def log_checkpoint(self, path: Path, step: int, aliases: Sequence[str] = ("latest",)) -> None:
        """A checkpoint folder, without the replay: as an artifact of type `model`."""

    def log_report(self, tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]], page: Path) -> None:
        """The tables of a comparison by name (columns, rows), and its HTML page."""

    def finish(self, status: str = "done", patience: float = 60.0) -> None:
        """Sends the rest, for at most `patience` seconds. `status`: done, failed, stopped, ..."""


def track(mode: str, *, folder: Path, say: Callable[[str], None] | None = None, **options: Any) -> Tracker:
    """The tracker for `mode`: a mode of W&B (see `track_wandb`, which takes the options), `tensorboard`, or both.

    TensorBoard's files lie in `folder`/tensorboard. `auto` continues them if there are any. Returns at once. Raises
    `InputError` for an unknown mode, and nothing else.
    """
    words = str(mode).split(",")
    for word in words:
        if word not in (*get_args(Mode), "tensorboard"):
            raise unknown("tracking mode", word, (*get_args(Mode), "tensorboard"))
    modes: list[Any] = [word for word in words if word != "tensorboard"]
    if len(modes) > 1 or len(words) - len(modes) > 1:
        raise InputError(
            f"tracking mode {mode!r}: give one of {', '.join(get_args(Mode))}, tensorboard, or one of each"
        )
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    board = Path(folder) / "tensorboard"
    wandb = track_wandb(modes[0] if modes else "off", folder=folder, say=say, **options)
    if "tensorboard" not in words and not (mode == "auto" and board.is_dir()):
        return wandb
    if importlib.util.find_spec("tensorboard") is None:
        say('TensorBoard is off: --track tensorboard needs `pip install "ludo-rl[tensorboard]"`')
        return wandb
    return Trackers(wandb, TensorBoardTracker(board, say))


def track_wandb(
    mode: Mode,
    *,
    folder: Path,
    env: str,
    agent: str,
    seed: int,
    config: Mapping[str, Any],
    command: Sequence[str] = (),
    job_type: str = "train",
    tags: Sequence[str] = (),
    state: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> Tracker:
    """W&B's tracker for `mode`. Returns at once.

    `auto` is WANDB_MODE if that is set, else online if a key exists, else off; then a first training gets a hint. After
    a resume W&B keeps the rows beyond the checkpoint beside those that replace them, because it cannot delete rows.

    Args:
        folder: for W&B's own files, unless WANDB_DIR is set.
        config: the resolved run with versions and commit; secrets are taken out of it and of `command`.
        state: the `state` of the run that is resumed.
        say: prints a hint or a warning; to standard error by default.
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    wanted = _resolve(mode, state, Path(folder), say)
    if wanted == "off":
        return Tracker()
    ask, before = os.environ.get, state or {}
    group = f"{_clean(env)}__{_clean(agent)}"
    usual = f"{group}__{seed}__{time.strftime('%Y%m%d-%H%M%S')}"
    every_tag = (env, agent, f"seed {seed}", *tags, *ask("WANDB_TAGS", "").split(","))
    return WandbTracker(
        wanted,
        folder=Path(folder),
        say=say,
        demanded=mode != "auto" or "WANDB_MODE" in os.environ,
        id=ask("WANDB_RUN_ID") or before.get("id") or secrets.token_hex(4),
        project=ask("WANDB_PROJECT") or before.get("project") or PROJECT,
        entity=ask("WANDB_ENTITY") or before.get("entity"),
        name=ask("WANDB_NAME") or before.get("name") or usual,
        group=ask("WANDB_RUN_GROUP") or group,
        job_type=ask("WANDB_JOB_TYPE") or job_type,
        tags=list(dict.fromkeys(tag[:64] for tag in every_tag if tag)),
        config=redact(plain({**config, "command": redact_command(command)})),
    )


def _resolve(mode: Mode, state: Mapping[str, Any] | None, folder: Path, say: Callable[[str], None]) -> Mode:
    """`mode` as online, offline or off; says why tracking is off if that needs a word."""
    wanted: Mode = mode
    if mode == "auto":
        wanted = _MODES.get(os.environ.get("WANDB_MODE", "").lower(), "auto")
        if wanted == "auto" and state:
            wanted = state["mode"]
    if wanted != "off" and importlib.util.find_spec("wandb") is None:
        if mode != "auto":
            say(f"W&B is off: --track {mode} needs `pip install wandb`")
        return "off"
    if wanted == "auto" and not may_have_key():
        if _first_run(folder):
            say(_HINT)
        return "off"
    return "online" if wanted == "auto" else wanted


Call = Callable[[Any, Any, dict[str, Any]], None]
"""A call in the thread, with the package `wandb`, the run, and the step and time of the call."""
_NO_KEY = "W&B is off: no key found; `wandb login` or WANDB_API_KEY gives one, --track offline needs none"
_HINT = "W&B is off: no key found; `wandb login` or WANDB_API_KEY turns it on, --track off silences this line"


class WandbTracker(Tracker):
    """One W&B run, made by `track`."""

    CAPACITY = 2000
    """Calls that wait while W&B starts or is slow; further ones are left out, and are only in the files."""
    patience = 0.0
    """Seconds for which a call waits for a place; a training never waits."""
    CHECKPOINT_SECONDS = 600.0
    """Between two uploads of a latest checkpoint, because W&B keeps a copy of each. The last one is always sent."""

    def __init__(
        self,
        mode: Mode,
        *,
        folder: Path,
        say: Callable[[str], None],
        demanded: bool,
        config: dict[str, Any],
        **run: Any,
    ) -> None:
        self.mode: str = mode
        self._kind: Any = mode
        self.state = {"mode": mode, **{k: run[k] for k in ("id", "project", "entity", "name")}}
        self._folder, self._say, self._demanded = folder, say, demanded
        self._run_options = {"config": config, "resume": os.environ.get("WANDB_RESUME") or "allow", **run}
        self._queue: queue.Queue[tuple[Call, dict[str, Any]] | None] = queue.Queue(self.CAPACITY)
        self._overflowed = self._started = False
        self._waiting: Callable[[], None] | None = None
        self._next_checkpoint = 0.0
        self._exit_code = 0
        self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        numbers = {k: v for k, v in plain(metrics).items() if v is not None}
        self._put(lambda wandb, run, now: run.log({**numbers, **now}), step)

    def log_evaluation(self, step: int, score: Any) -> None:
        fields = plain(score._asdict() if hasattr(score, "_asdict") else score)
        games = {k: v for k in ("seeds", "returns", "lengths") if (v := fields.get(k))}
        numbers = {k: v for k, v in fields.items() if isinstance(v, (int, float)) and k not in ("step", "schema")}

        def send(wandb: Any, run: Any, now: dict[str, Any]) -> None:
            row: dict[str, Any] = {f"evaluation/{k}": v for k, v in numbers.items()}
            if games:
                columns = ["global_step", "game", *(k.removesuffix("s") for k in games)]
                rows = [[step, j, *game] for j, game in enumerate(zip(*games.values()))]
                row["evaluation/games"] = wandb.Table(columns=columns, data=rows)
            run.log({**row, **now})

        self._put(send, step)

    def log_histogram(self, step: int, name: str, values: Any) -> None:
        numbers = np.asarray(values, float).ravel()
        self._put(lambda wandb, run, now: run.log({name: wandb.Histogram(numbers), **now}), step)

    def log_video(self, path: Path, step: int, name: str = "video") -> None:
        form = Path(path).suffix.removeprefix(".").lower()
        self._put(lambda wandb, run, now: run.log({name: wandb.Video(str(path), format=form), **now}), step)

    def log_checkpoint(self, path: Path, step: int, aliases: Sequence[str] = ("latest",)) -> None:
        self._waiting = lambda: self._send_checkpoint(Path(path), step, list(aliases))
        if time.monotonic() >= self._next_checkpoint or set(aliases) != {"latest"}:
            self._send_waiting()

    def _send_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting()
            self._waiting = None
            self._next_checkpoint = time.monotonic() + self.CHECKPOINT_SECONDS

    def _send_checkpoint(self, path: Path, step: int, aliases: list[str]) -> None:
        def send(wandb: Any, run: Any, now: dict[str, Any]) -> None:
            artifact = wandb.Artifact(f"agent-{run.id}", type="model", metadata={"global_step": step})
            try:
                for file in sorted(path.iterdir()):
                    artifact.add_file(str(file), name=file.name)
            except FileNotFoundError:  # a newer checkpoint replaced it while W&B was starting
                return
            run.log_artifact(artifact, aliases=aliases)

        self._put(send, step)

    def log_report(self, tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]], page: Path) -> None:
        def send(wandb: Any, run: Any, now: dict[str, Any]) -> None:
            row = {
                name: wandb.Table(columns=list(columns), data=[list(r) for r in rows], allow_mixed_types=True)
                for name, (columns, rows) in tables.items()
            }
            run.log({**row, "report": wandb.Html(Path(page).read_text(encoding="utf-8"), inject=False)})

        self._put(send)

    def finish(self, status: str = "done", patience: float = 60.0) -> None:
        if not self._thread.is_alive():
            return
        self._send_waiting()
        self._exit_code = 0 if status == "done" else 1
        self._put(lambda wandb, run, now: run.summary.update({"status": status}))
        end = time.monotonic() + patience
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=patience)
        self._thread.join(min(5.0, max(0.0, end - time.monotonic())))
        if self._thread.is_alive() and (left := end - time.monotonic()) > 0:
            if self._started:
                self._say(f"waiting for W&B to send the rest, at most {left:.0f} s")
            self._thread.join(left)
        if self._thread.is_alive():
            self._off(f"it did not answer for {patience:.0f} s")

    def _put(self, call: Call, step: int | None = None) -> None:
        """Queues `call`. Never with W&B's `step=`: after a resume it would drop the rows at lower steps."""
        if self.mode == "off":
            return
        try:
            self._queue.put((call, {"global_step": step, "_timestamp": time.time()}), timeout=self.patience)
        except queue.Full:
            if not self._overflowed:
                self._overflowed = True
                self._say("W&B is slow: some of its rows are left out; metrics.jsonl has them all")

    def _off(self, reason: str) -> None:
        """Ends the tracking with one warning."""
        if self.mode != "off":
            self.mode = "off"
            reason = redact(" ".join(reason.split())[:300])
            self._say(f"W&B is off from here on ({reason}); the run's own files have it all")

    def _work(self) -> None:
        """The thread: starts W&B and makes the calls in order, until None."""
        run = None
        try:
            run, wandb = self._start()
            self._started = True
            while run is not None and (item := self._queue.get()) is not None:
                call, now = item
                call(wandb, run, now)
            if run is not None:
                run.finish(exit_code=self._exit_code)
        except BaseException as error:  # no failure of W&B may reach the training
            self._off(f"{type(error).__name__}: {error}")
            if run is not None:
                with contextlib.suppress(BaseException):
                    run.finish(exit_code=1)  # else a resume in this process would find the run in use

    def _start(self) -> tuple[Any, Any]:
        import wandb

        wandb.setup(wandb.Settings(silent=True, mode=self._kind))
        if self.mode == "online" and not wandb.login(prompt=False, verify=False):
            self.mode = "off"
            if self._demanded or _first_run(self._folder):
                self._say(_NO_KEY if self._demanded else _HINT)
            return None, wandb
        settings = wandb.Settings(
            silent=True,
            console="off",  # standard output is the caller's
            x_disable_meta=True,  # it would record the command line with its secrets; the config has it without
            disable_git=True,  # a remote's URL may hold a token; the commit is in the config
            disable_code=True,
            x_save_requirements=False,
            init_timeout=15.0,
            finish_timeout=50.0,
        )
        run = wandb.init(
            mode=self._kind,
            dir=os.environ.get("WANDB_DIR") or str(self._folder),
            settings=settings,
            reinit="create_new",
            **self._run_options,
        )
        run.define_metric("global_step")
        run.define_metric("*", step_metric="global_step")
        place = Path(run.dir).parents[1] / f"offline-run-*-{run.id}"  # a resumed run has several
        self._say(
            f"W&B: {run.url}" if self.mode == "online" else f"W&B is offline: `wandb sync {place}` uploads this run"
        )
        return run, wandb


class TensorBoardTracker(Tracker):
    """TensorBoard's event files in one folder. The first failure becomes one line and ends it."""

    mode = "tensorboard"

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._writer: Any = None

    def _write(self, step: int, call: Callable[[Any], None]) -> None:
        if self.mode == "off":
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                again = self._folder.is_dir()  # a resumed run: TensorBoard then hides the rows beyond the checkpoint
                self._writer = SummaryWriter(str(self._folder), purge_step=step if again else None)
            call(self._writer)
        except Exception as error:  # no failure of TensorBoard may reach the training
            self.mode = "off"
            self._say(f"TensorBoard is off from here on ({type(error).__name__}: {' '.join(str(error).split())[:200]})")

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        def send(writer: Any) -> None:
            for name, value in plain(metrics).items():
                if isinstance(value, int | float) and name != "step":
                    writer.add_scalar(name, value, step)

        self._write(step, send)

    def log_evaluation(self, step: int, score: Any) -> None:
        fields = plain(score._asdict() if hasattr(score, "_asdict") else score)
        self.log(step, {f"evaluation/{k}": v for k, v in fields.items() if k not in ("step", "schema", "seconds")})
        for name in ("returns", "lengths"):
            if fields.get(name):
                self.log_histogram(step, f"evaluation/{name}", fields[name])

    def log_histogram(self, step: int, name: str, values: Any) -> None:
        self._write(step, lambda writer: writer.add_histogram(name, np.asarray(values, float), step))

    def log_video(self, path: Path, step: int, name: str = "video") -> None:
        def send(writer: Any) -> None:
            Summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary

            width, height, data = _gif(Path(path))
            picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
            writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=picture)]), step)

        self._write(step, send)

    def finish(self, status: str = "done", patience: float = 60.0) -> None:
        if self._writer is not None:
            self._write(0, lambda writer: writer.close())


def _gif(path: Path, frames: int = 100, width: int = 240) -> tuple[int, int, bytes]:
    """Width, height and bytes of a film as a GIF, the only film that TensorBoard shows, of at most `frames` frames."""
    import av

    with av.open(str(path)) as film:
        every = [frame.to_image() for frame in film.decode(video=0)]
    kept = every[:: -(-len(every) // frames)]
    size = (width, max(1, round(width * kept[0].height / kept[0].width)))
    pictures = [picture.resize(size) for picture in kept]
    pictures[0].save(out := io.BytesIO(), "GIF", save_all=True, append_images=pictures[1:], duration=60, loop=0)
    return *size, out.getvalue()


class Trackers(Tracker):
    """Several trackers; the first one's mode and state are those of the run."""

    def __init__(self, *parts: Tracker) -> None:
        self.parts = parts

    @property
    def mode(self) -> str:  # type: ignore[override]
        return self.parts[0].mode

    @property
    def state(self) -> dict[str, Any] | None:  # type: ignore[override]
        return self.parts[0].state

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        for part in self.parts:
            part.log(step, metrics)

    def log_evaluation(self, step: int, score: Any) -> None:
        for part in self.parts:
            part.log_evaluation(step, score)

    def log_histogram(self, step: int, name: str, values: Any) -> None:
        for part in self.parts:
            part.log_histogram(step, name, values)

    def log_video(self, path: Path, step: int, name: str = "video") -> None:
        for part in self.parts:
            part.log_video(path, step, name)

    def log_checkpoint(self, path: Path, step: int, aliases: Sequence[str] = ("latest",)) -> None:
        for part in self.parts:
            part.log_checkpoint(path, step, aliases)

    def log_report(self, tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]], page: Path) -> None:
        for part in self.parts:
            part.log_report(tables, page)

    def finish(self, status: str = "done", patience: float = 60.0) -> None:
        for part in self.parts:
            part.finish(status, patience)


def may_have_key() -> bool:
    """Whether a W&B key may exist, so that importing `wandb` (1.5 s) is worth it."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        home = Path.home()
        config = Path(os.environ.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb") / "settings"
        places = [Path(os.environ.get("NETRC") or home / ".netrc"), home / "_netrc", config, Path("wandb/settings")]
        return any(place.exists() for place in places)
    except (OSError, RuntimeError):  # no home folder, or no permission to read it
        return True


def _first_run(folder: Path) -> bool:
    """Whether no other run lies beside `folder`: the hint is for a first training."""
    return all(info.parent == Path(folder) for info in Path(folder).parent.glob("*/run.json"))


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)
