"""The notation of contenders on the command line of `rl compare`."""

from __future__ import annotations

import pytest

from rl.errors import InputError
from runs.comparing.contenders import Contender, parse_contenders


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("dqn", Contender("dqn", "ours", "dqn")),
        ("random", Contender("random", "ours", "random")),
        ("sb3:ppo", Contender("sb3:ppo", "sb3", "ppo")),
        ("zoo:dqn", Contender("zoo:dqn", "zoo", "dqn")),
        ("dqn@zoo", Contender("dqn@zoo", "ours", "dqn", "zoo")),
        ("dqn:double=true", Contender("dqn:double=true", "ours", "dqn", "", ("double=true",))),
        (
            "dqn@sb3:epsilon=1.0:0.05:20000:net.hidden=256x256",
            Contender(
                "dqn@sb3:epsilon=1.0:0.05:20000:net.hidden=256x256",
                "ours",
                "dqn",
                "sb3",
                ("epsilon=1.0:0.05:20000", "net.hidden=256x256"),
            ),
        ),
        ("sb3:ppo:n_steps=64", Contender("sb3:ppo:n_steps=64", "sb3", "ppo", "", ("n_steps=64",))),
        ("my.mod:Agent:lr=1", Contender("my.mod:Agent:lr=1", "ours", "my.mod:Agent", "", ("lr=1",))),
        ("lstm=ppo:net.core=lstm", Contender("lstm", "ours", "ppo", "", ("net.core=lstm",), "lstm=ppo:net.core=lstm")),
        ("their own=sb3:ppo", Contender("their own", "sb3", "ppo", "", (), "their own=sb3:ppo")),
        ("run:runs/out/a", Contender("run:runs/out/a", "run", "runs/out/a")),
        (r"run:C:\out\a=b@c", Contender(r"run:C:\out\a=b@c", "run", r"C:\out\a=b@c")),
    ],
)
def test_contenders_are_parsed(text, read):
    assert parse_contenders(text) == [read]


def test_commas_separate_contenders_and_spaces_are_ignored():
    names = [c.text for c in parse_contenders("rainbow, rainbow:noisy=false,sb3:dqn")]
    assert names == ["rainbow", "rainbow:noisy=false", "sb3:dqn"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty contender"),
        ("dqn,,ppo", "an empty contender"),
        ("dqn@", "a preset is missing after @"),
        ("sb3:", "a name is missing"),
        ("sb3:dqn@zoo", "@zoo belongs to our agents"),
        ("random:lr=1", "random has no fields"),
        ("dqn:=1", "write field=value"),
        ("dqn:lr=", "write field=value"),
        ("a/b=dqn", "a label has letters, digits"),
        ("a=sb3:", "a name is missing"),
    ],
)
def test_invalid_contenders_are_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_contenders(text)
    assert "\n" not in str(caught.value)
