"""Which room (a folder of Core) uses a name of which other room, and whether the table of rooms allows it.

A use is a whole word outside comments and text: a type, a function or a constant at another room's top level, or a member
that another room's extension gives to a type that is not its own. Names that are private to a file do not count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from Tools.swift_names import code_only, declarations, own_names, own_types, uses

Table = dict[str, set[str]]
"""Rooms from top to bottom, each with the rooms whose names it may use."""


@dataclass(frozen=True)
class Arrow:
    room: str
    other: str
    file: str
    line: int
    name: str


def table_faults(rooms: Table) -> list[str]:
    """A table whose arrows all point downwards has no circle."""
    order = list(rooms)
    faults = []
    for room, allowed in rooms.items():
        for other in sorted(allowed):
            if other not in rooms:
                faults.append(f"rooms: {room} may use {other}, which is no room")
            elif order.index(other) <= order.index(room):
                faults.append(f"rooms: {room} may use {other}, which does not stand below it")
    return faults


def arrows(core: Path) -> list[Arrow]:
    """All uses of another room's names below `core`; files in no folder are the room "."."""
    codes = {path: code_only(path.read_text()) for path in sorted(core.rglob("*.swift"))}
    room_of = {path: path.relative_to(core).parts[0] if path.parent != core else "." for path in codes}
    types: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    given: dict[tuple[str, str], set[str]] = {}
    for path, code in codes.items():
        seen_types, seen_others, seen_members = declarations(code)
        for name in seen_types:
            types.setdefault(name, set()).add(room_of[path])
        for name in seen_others:
            others.setdefault(name, set()).add(room_of[path])
        for extended, names in seen_members.items():
            for name in names:
                given.setdefault((extended, name), set()).add(room_of[path])
    members = foreign_members(given, types, codes)
    found = []
    for path, code in codes.items():
        room, nested, local = room_of[path], own_types(code), own_names(code)
        for line, name, is_member in uses(code):
            homes: set[str] = set()
            if is_member:
                homes = members.get(name, homes)
            elif name in types and name not in nested:
                homes = types[name]
            elif name not in local and name not in nested:
                homes = others.get(name, homes)
            if homes and room not in homes:
                found += [Arrow(room, home, str(path.relative_to(core)), line, name) for home in sorted(homes)]
    return found


def foreign_members(
    given: dict[tuple[str, str], set[str]], types: dict[str, set[str]], codes: dict[Path, str]
) -> dict[str, set[str]]:
    """Members that a room's extension gives to a type of another room, or of no room, if nothing else has that name."""
    declared = Counter(name for code in codes.values() for name in own_names(code))
    return {
        name: rooms
        for (extended, name), rooms in given.items()
        if not rooms & types.get(extended, set()) and declared[name] <= 1
    }


def room_faults(core: Path, rooms: Table) -> list[str]:
    """Folders that the table lacks, and arrows that it does not allow: the first of each file and name."""
    faults = table_faults(rooms)
    for folder in sorted({path.relative_to(core).parts[0] for path in core.rglob("*.swift") if path.parent != core}):
        if folder not in rooms:
            faults.append(f"{core.name}/{folder}: the table of rooms lacks it")
    told = set()
    for arrow in arrows(core):
        key = (arrow.file, arrow.name, arrow.other)
        if arrow.other in rooms.get(arrow.room, {arrow.other}) or key in told:
            continue
        told.add(key)
        faults.append(
            f"{core.name}/{arrow.file}:{arrow.line}: uses {arrow.name} of {arrow.other}, which {arrow.room} may not"
        )
    return faults


def drawing(core: Path) -> str:
    """Each arrow that there is, with how often and the names."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for arrow in arrows(core):
        counted.setdefault((arrow.room, arrow.other), Counter())[arrow.name] += 1
    lines = []
    for (room, other), names in sorted(counted.items()):
        lines.append(f"{room} -> {other}: " + ", ".join(f"{name} {count}" for name, count in names.most_common()))
    return "\n".join(lines)
