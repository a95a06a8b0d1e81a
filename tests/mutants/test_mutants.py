"""The seeded bugs fit the tree, and a bug is caught only if a test fails on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, Mutant, outcome, read_mutants, report


def test_every_bug_can_be_put_in_at_one_place_and_has_its_tests() -> None:
    mutants = read_mutants()
    places = [m for m in mutants if (ROOT / m.file).read_text().count(m.old) != 1 or m.old == m.new]
    assert not places
    for path, _, name in {test.partition("::") for m in mutants for test in m.tests.split()}:
        assert (ROOT / path).exists(), path
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), name


def small_tree(folder: Path) -> Mutant:
    """A module, its test, and a bug that the test catches."""
    (folder / "sums.py").write_text("two = 1 + 1\n")
    (folder / "test_sums.py").write_text("from sums import two\n\ndef test_two():\n    assert two == 2\n")
    return Mutant("sums.py", "The sum is wrong.", "1 + 1", "7", "test_sums.py")


def test_a_bug_that_fails_a_test_is_caught_and_taken_back(tmp_path: Path) -> None:
    assert outcome(tmp_path, small_tree(tmp_path)) == "caught"
    assert (tmp_path / "sums.py").read_text() == "two = 1 + 1\n"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0, "survived"), (1, "caught"), (2, "caught"), (-6, "caught"), (5, "does not apply"), (None, "took too long")],
)
def test_a_bug_survives_if_its_tests_pass(
    status: int | None, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mutants.__main__.run_tests", lambda *_: status)
    mutant = small_tree(tmp_path)
    assert outcome(tmp_path, mutant) == kind
    assert outcome(tmp_path, mutant._replace(old="1")) == "does not apply"


def test_the_page_names_each_bug_that_was_not_caught() -> None:
    mutants = [Mutant("a.py", f"Bug {k}.", "", "", "") for k in range(3)]
    text = report([(mutants[0], "caught"), (mutants[1], "survived"), (mutants[2], "caught")])
    assert "catch 2 of 3" in text and "| a.py | 3 | 2 |" in text and "- a.py: Bug 1. (survived)" in text
