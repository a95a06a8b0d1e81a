"""Typed settings: what `--set` accepts, what it refuses and in which words, and the way through run.json and back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agents
from rl.errors import InputError
from rl.schedules import Ramp
from runs.recipe import Run, from_run_json, resolve
from runs.settings.apply import apply_settings, explain, field_names
from runs.settings.plain import from_json, to_json


@dataclass(frozen=True)
class Net:
    hidden: tuple[int, ...] | None = (64, 64)
    layers: tuple[tuple[int, int, int], ...] = ()
    core: Literal["none", "lstm", "gru"] = "none"
    encoder: str = "auto"


@dataclass(frozen=True)
class Player:
    name: ClassVar[str] = "dqn"
    net: Net = field(default_factory=Net)
    lr: float | Ramp = 1e-3
    epsilon: float | Ramp = Ramp(1.0, 0.05, 10_000)
    double: bool = False
    clip: float | None = None
    batch_size: int = 32
    buffer_size: int = 1_000
    precision: Literal["auto", "fp32", True] = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.batch_size > self.buffer_size:
            raise InputError(f"batch_size {self.batch_size} is larger than buffer_size {self.buffer_size}")


@dataclass(frozen=True)
class World:
    skip: int = 4
    core: str = "machine"
    options: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    env: str = "CartPole-v1"
    agent: Player = field(default_factory=Player)
    env_config: World = field(default_factory=World)
    steps: int = 1_000
    window: tuple[int, int] = (3, 4)
    tags: tuple[str, ...] = ()


def changed(*settings: str) -> Match:
    return apply_settings(Match(), settings)


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("agent.lr=3e-4", lambda m: m.agent.lr == 3e-4),
        ("lr=3e-4", lambda m: m.agent.lr == 3e-4),
        ("lr=1e-3:1e-5:2e4", lambda m: m.agent.lr == Ramp(1e-3, 1e-5, 20_000)),
        ("epsilon=0.1", lambda m: m.agent.epsilon == 0.1),
        ("epsilon=1.0:0.05:20000", lambda m: m.agent.epsilon == Ramp(1.0, 0.05, 20_000)),
        ("double=true", lambda m: m.agent.double is True),
        ("double=False", lambda m: m.agent.double is False),
        ("clip=none", lambda m: m.agent.clip is None),
        ("clip=10", lambda m: m.agent.clip == 10.0 and isinstance(m.agent.clip, float)),
        ("batch_size=6_4", lambda m: m.agent.batch_size == 64),
        ("steps=5e4", lambda m: m.steps == 50_000 and isinstance(m.steps, int)),
        ("run.steps=7", lambda m: m.steps == 7),
        ("hidden=256x256", lambda m: m.agent.net.hidden == (256, 256)),
        ("hidden=256", lambda m: m.agent.net.hidden == (256,)),
        ("hidden=()", lambda m: m.agent.net.hidden == ()),
        ("hidden=[32, 16]", lambda m: m.agent.net.hidden == (32, 16)),
        ("hidden=none", lambda m: m.agent.net.hidden is None),
        ("net.hidden=8", lambda m: m.agent.net.hidden == (8,)),
        ("layers=[[32, 8, 4], [64, 4, 2]]", lambda m: m.agent.net.layers == ((32, 8, 4), (64, 4, 2))),
        ("net.core=lstm", lambda m: m.agent.net.core == "lstm"),
        ("encoder=my.module:Net", lambda m: m.agent.net.encoder == "my.module:Net"),
        ("precision=fp32", lambda m: m.agent.precision == "fp32"),
        ("precision=true", lambda m: m.agent.precision is True),
        ("env=ALE/Pong-v5", lambda m: m.env == "ALE/Pong-v5"),
        ("env.skip=1", lambda m: m.env_config.skip == 1),
        ("env_config.skip=1", lambda m: m.env_config.skip == 1),
        ("env.options.sticky=0.25", lambda m: m.env_config.options == {"sticky": 0.25}),
        ("options.mode=3", lambda m: m.env_config.options == {"mode": 3}),
        ("options.full=true", lambda m: m.env_config.options == {"full": True}),
        ("options.map=4x4", lambda m: m.env_config.options == {"map": "4x4"}),
        ("options.desc=[1, 2]", lambda m: m.env_config.options == {"desc": [1, 2]}),
        ('options={"a": 1}', lambda m: m.env_config.options == {"a": 1}),
        ("weights.a=1", lambda m: m.env_config.weights == {"a": 1.0}),
        ('options={"rival": {"name": "x"}}', lambda m: m.env_config.options == {"rival": {"name": "x"}}),
        ('weights={"a": 1}', lambda m: type(m.env_config.weights["a"]) is float),
        ("window=84x80", lambda m: m.window == (84, 80)),
        ("tags=a+b", lambda m: m.tags == ("a", "b")),
    ],
)
def test_a_setting_reaches_its_field_with_its_type(setting, read):
    assert read(changed(setting))


def test_settings_leave_the_given_config_and_all_other_fields_alone():
    before = Match()
    after = apply_settings(before, ["agent.lr=0.5", "options.a=1"])
    assert before == Match()
    restored = dataclasses.replace(
        after, agent=dataclasses.replace(after.agent, lr=before.agent.lr), env_config=before.env_config
    )
    assert restored == before


def test_fields_that_constrain_each_other_change_together():
    # Alone, each order of the two would be refused halfway.
    assert changed("batch_size=5000", "buffer_size=9000").agent.batch_size == 5000
    assert changed("buffer_size=9", "batch_size=5").agent.buffer_size == 9


def test_the_last_of_two_settings_of_one_field_counts_and_entries_add_up():
    assert changed("lr=1", "lr=2").agent.lr == 2.0
    assert changed("options.a=1", "options.b=2").env_config.options == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("agent.lrr=3", ["unknown field 'agent.lrr'", "did you mean 'agent.lr'?"]),
        ("lrr=3", ["unknown field 'lrr'", "did you mean 'agent.lr'?"]),
        ("batchsize=3", ["'batchsize'", "'agent.batch_size'"]),
        ("qqqq=3", ["unknown field 'qqqq': `rl list RECIPE` shows them all"]),
        ("self_play=true", ["`rl list RECIPE` shows them all; an option of the environment is env.options.self_play"]),
        ("env.option.self_play=true", ["unknown field 'env.option.self_play': did you mean 'env_config.options'?"]),
        ("epsilom=3", ["unknown field 'epsilom'", "did you mean 'agent.epsilon'?"]),
        ("core=lstm", ["'core' is ambiguous", "agent.net.core", "env_config.core"]),
        ("lr=fast", ["agent.lr=fast", "a finite number or a schedule start:end:steps"]),
        ("lr=nan", ["agent.lr=nan", "finite"]),
        ("clip=inf", ["agent.clip=inf", "a finite number or none"]),
        ("epsilon=1.0:0.05", ["agent.epsilon=1.0:0.05", "1.0:0.05:20000"]),
        ("epsilon=1.0:0.05:0", ["steps must be at least 1, got 0"]),
        ("double=yes", ["agent.double=yes", "true or false"]),
        ("steps=1.5", ["steps=1.5", "a whole number"]),
        ("steps=", ["steps=", "a whole number"]),
        ("hidden=axb", ["agent.net.hidden=axb", "256x256", "none"]),
        ("window=3", ["window=3", "2 values joined by x"]),
        ("net.core=lstmm", ["agent.net.core=lstmm", "one of none, lstm, gru", "did you mean 'lstm'?"]),
        ("agent=ppo", ["agent is a group of fields", "such as agent.net.hidden="]),
        ("net=3", ["agent.net is a group of fields", "agent.net.hidden"]),
        ("steps.more=3", ["unknown field 'steps.more'"]),
        ("weights.a=b", ["env_config.weights.a=b", "a finite number"]),
        ("options=3", ["env_config.options=3", "a JSON object"]),
        ("batch_size=0", ["batch_size must be at least 1, got 0"]),
        ("batch_size=2000", ["batch_size 2000 is larger than buffer_size 1000"]),
        ("steps", ["--set steps", "FIELD=VALUE"]),
        ("=3", ["FIELD=VALUE"]),
    ],
)
def test_a_bad_setting_is_one_line_that_names_field_value_and_mend(setting, words):
    with pytest.raises(InputError) as caught:
        changed(setting)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["self_play", "self_playy", "env.optoins.self_play"])
def test_an_entry_of_a_dict_that_is_set_is_offered(name: str) -> None:
    match = Match(env_config=World(options={"self_play": True}))
    with pytest.raises(InputError, match=f"unknown field '{name}': did you mean 'env_config.options.self_play'?"):
        apply_settings(match, [f"{name}=true"])


def test_a_plain_value_error_of_a_config_becomes_bad_input():
    @dataclass(frozen=True)
    class Theirs:
        size: int = 1

        def __post_init__(self) -> None:
            if self.size > 3:
                raise ValueError("too big")

    with pytest.raises(InputError, match="size=4: too big"):
        apply_settings(Theirs(), ["size=4"])


finite = st.floats(allow_nan=False, allow_infinity=False)
ramps = st.builds(Ramp, finite, finite, st.integers(1, 10**9))
players = st.builds(
    Player,
    net=st.builds(
        Net,
        hidden=st.none() | st.lists(st.integers(1, 999), max_size=3).map(tuple),
        layers=st.lists(st.tuples(st.integers(), st.integers(), st.integers()), max_size=2).map(tuple),
        core=st.sampled_from(["none", "lstm", "gru"]),
        encoder=st.text(max_size=5),
    ),
    lr=finite | ramps,
    epsilon=finite | ramps,
    double=st.booleans(),
    clip=st.none() | finite,
    batch_size=st.integers(1, 1_000),
)
worlds = st.builds(
    World,
    skip=st.integers(),
    options=st.dictionaries(
        st.text(max_size=4), st.none() | st.booleans() | st.integers() | finite | st.text(max_size=3)
    ),
    weights=st.dictionaries(st.text(max_size=4), finite),
)


@given(st.builds(Match, agent=players, env_config=worlds, steps=st.integers(1), tags=st.tuples(st.text(max_size=3))))
def test_any_config_survives_json(match):
    back = from_json(Match, json.loads(json.dumps(to_json(match))))
    assert back == match
    assert type(back.agent.net.layers) is tuple


@given(players)
def test_a_setting_written_from_a_value_reads_back_as_that_value(player):
    def text(value: Any) -> str:
        if isinstance(value, Ramp):
            return f"{value.start!r}:{value.end!r}:{value.steps}"
        return json.dumps(value) if isinstance(value, (tuple, list)) else str(value)

    fields = [f for f in dataclasses.fields(player) if f.name != "net"]
    assert (
        apply_settings(Player(net=player.net), [f"{f.name}={text(getattr(player, f.name))}" for f in fields]) == player
    )


def test_an_option_that_is_an_object_with_a_name_is_no_agent():
    match = Match(env_config=World(options={"rival": {"name": "x"}}))
    assert from_json(Match, to_json(match)) == match


def test_every_registered_agent_config_survives_json_and_names_itself():
    @dataclass(frozen=True)
    class Holder:
        agent: Any

    for name in agents.REGISTRY:
        held = Holder(agents.config(name))
        data = json.loads(json.dumps(to_json(held)))
        assert data["agent"]["name"] == name
        assert from_json(Holder, data) == held
        assert any(path.startswith("agent.") for path in field_names(held))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, "unknown field 'stepz': did you mean 'steps'?"),
        ({"steps": "many"}, "steps='many': expected a whole number"),
        ({"steps": True}, "steps=True: expected a whole number"),
        ({"agent": {"lr": [1]}}, r"agent.lr=\[1\]: expected a finite number"),
        ({"agent": {"net": {"core": "rnn"}}}, "agent.net.core='rnn': expected one of none, lstm, gru"),
        ({"agent": {"precision": 1}}, "agent.precision=1: expected one of auto, fp32, true"),
        ({"agent": 3}, "agent=3: expected an object"),
        ({"window": [1]}, r"window=\[1\]: expected 2 values"),
        ({"agent": {"epsilon": {"start": 1.0, "steps": 3}}}, "agent.epsilon.end is missing"),
        ({"agent": {"batch_size": 0}}, "batch_size must be at least 1, got 0"),
    ],
)
def test_a_run_json_that_was_edited_wrongly_is_one_line(change, words):
    with pytest.raises(InputError, match=words) as caught:
        from_json(Match, {**to_json(Match()), **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("agent", "typed", "ours"),
    [
        ("dqn", "learning_rate", "agent.lr"),
        ("dqn", "agent.tau", "agent.target_tau"),
        ("ppo", "n_steps", "agent.rollout"),
        ("ppo", "clip_range", "agent.clip"),
        ("ppo", "ent_coef", "agent.entropy_cost"),
    ],
)
def test_what_sb3_calls_otherwise_is_named(agent, typed, ours):
    run = Run(env="CartPole-v1", agent=agents.config(agent), steps=10_000)
    with pytest.raises(InputError, match=f"unknown field '{typed}': it is SB3's name for {ours}$"):
        apply_settings(run, [f"{typed}=1"])


def test_a_schedule_that_was_typed_is_not_stretched():
    typed = resolve("cartpole_dqn", steps=20_000, settings=["lr=0.001:1e-05:50000", "learning_starts=100"])
    assert typed.agent.lr == Ramp(1e-3, 1e-5, 50_000)
    assert resolve("cartpole_dqn", steps=20_000).agent.lr.steps == 20_000


def test_a_run_json_that_an_editor_marked_as_utf8_is_read(tmp_path):
    """Notepad puts such a mark at the beginning."""
    run = Run(env="CartPole-v1", agent=agents.config("dqn"), steps=10_000)
    text = json.dumps({"recipe": to_json(run)}, ensure_ascii=False)
    (tmp_path / "run.json").write_text(text, encoding="utf-8-sig")
    assert from_run_json(tmp_path / "run.json") == run


@pytest.mark.parametrize("name", agents.names())
def test_every_field_is_explained_and_its_value_is_written_as_it_is_read(name):
    run = Run(env="CartPole-v1", agent=agents.config(name), steps=10**9)
    told = explain(run)
    groups = {path.rpartition(".")[0] for path in field_names(run)}
    assert set(told) == set(field_names(run)) - groups - {"agent"}
    assert [path for path, field in told.items() if not field["meaning"]] == []
    others = Run(env="Acrobot-v1", agent=agents.config(name), steps=10**9 + 1)
    assert apply_settings(others, [f"{path}={field['value']}" for path, field in told.items()]) == run


def test_a_field_is_explained_by_the_nearest_class_that_says_it():
    @dataclass(frozen=True)
    class Base:
        a: int = 1
        """Of the base."""
        b: int = 2
        """Of the base
        too."""

    @dataclass(frozen=True)
    class Own(Base):
        a: int = 3
        """Its own."""
        c: tuple[int, ...] = (4, 5)

    assert explain(Own()) == {
        "a": {"value": "3", "accepts": "a whole number", "meaning": "Its own."},
        "b": {"value": "2", "accepts": "a whole number", "meaning": "Of the base too."},
        "c": {"value": "4x5", "accepts": "numbers joined by x, such as 256x256", "meaning": ""},
    }


def test_a_field_without_its_own_text_keeps_the_one_of_its_base_class() -> None:
    meaning = explain(agents.config("a2c"))["lr"]["meaning"]  # the next field's default is the text "rmsprop"
    assert meaning == "Learning rate, or its schedule over counted steps."
