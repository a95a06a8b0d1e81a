"""What the verbs print for people."""

from __future__ import annotations

import textwrap
from typing import Any


def _show_scores(r: dict[str, Any]) -> None:
    for one in r.get("results", [r]):
        _show_score(one)


def _show_score(r: dict[str, Any]) -> None:
    name = f"{r['env']} {r['agent']} step {r['step']:,}"
    print(f"{name}: mean {r['mean']:.1f} +- {r['std']:.1f}, IQM {r['iqm']:.1f}, {r['episodes']} games")


def _show_games(r: dict[str, Any]) -> None:
    if r.get("returns"):
        print(f"returns: {', '.join(f'{value:g}' for value in r['returns'])}")
    if r.get("video"):
        print(f"video: {r['video']}")


def _show_training(r: dict[str, Any]) -> None:
    if r.get("mean") is not None:
        _show_scores(r)
    print(f"{r['steps']:,} steps in {r['seconds']:.0f} s, {r['steps_per_second']:,.0f} steps/s")
    print(f"run: {r['run']}")


def _show_list(r: dict[str, Any]) -> None:
    for i, (kind, entries) in enumerate(r.items()):
        if len(r) > 1:
            print(f"{chr(10) if i else ''}{kind}")
        if kind == "envs":
            _show_families(entries)
            continue
        if kind == "fields":
            _show_fields(entries)
            continue
        width = max((len(name) for name in entries), default=0)
        for name, words in entries.items():
            print(f"  {name:{width}}  {words}".rstrip())


def _show_families(envs: dict[str, str]) -> None:
    for family in dict.fromkeys(envs.values()):
        print(f"  {family}")
        names = "  ".join(name for name, of in envs.items() if of == family)
        print(textwrap.fill(names, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))


def _show_fields(fields: dict[str, dict[str, str]]) -> None:
    usual = (f"{name}={field['value']}" for name, field in fields.items() if len(field["value"]) < 30)
    width = max(map(len, usual), default=0)
    for name, field in fields.items():
        head = f"{name}={field['value']}"
        print(f"  {head:{width}}  {field['meaning']}".rstrip())


def _show_records(r: dict[str, Any]) -> None:
    failed = sum(result["status"] != "ok" for result in r["results"])
    count = len(r["results"])
    print(f"{count} seed{'s' * (count != 1)} recorded, {failed} failed")


def _show_solution(r: dict[str, Any]) -> None:
    from runs.cli.solve import lines

    for line in lines(r):
        print(line)


def _show_doctor(r: dict[str, Any]) -> None:
    from runs.cli.doctor import lines

    for line in lines(r):
        print(line)
