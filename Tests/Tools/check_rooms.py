"""How Swift is read, and which arrows a small tree has."""

from __future__ import annotations

import tempfile
from pathlib import Path

from Tools.rooms import Arrow, Table, arrows, room_faults, table_faults
from Tools.swift_names import code_only, declarations

HERE = tempfile.TemporaryDirectory(prefix="rooms")  # goes when Python ends
ROOMS: Table = {"Top": {"Low", "."}, "Low": {"."}, ".": set()}


def tree(**files: str) -> Path:
    """A folder of Swift files, each named Room_File."""
    core = Path(tempfile.mkdtemp(dir=HERE.name)) / "Core"
    for name, text in files.items():
        path = core / (name.replace("_", "/") + ".swift")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return core


def found(core: Path) -> list[tuple[str, str, str]]:
    return [(arrow.room, arrow.other, arrow.name) for arrow in arrows(core)]


def tests_comments_and_text_are_no_code() -> None:
    code = code_only(
        'a // Plan\nb /* Plan /* Plan */ Plan */ c "Plan \\" Plan" d\n"""\nPlan "x"\n""" e #"Plan \\(Plan)"# f'
    )
    assert code.split() == ["a", "b", "c", "d", "e", "f"] and code.count("\n") == 4


def tests_what_is_interpolated_is_code() -> None:
    assert code_only('"Text \\(of(Plan.self, "Text")) Text"').split() == ["of(Plan.self,", ")"]
    assert code_only('#"Text \\#(Plan) Text"#').split() == ["Plan"]


def tests_only_what_others_can_see_is_declared() -> None:
    code = "public struct A { struct B {}; func c() {} }\nfunc d() { let e = 1 }\nprivate func f() {}\nlet g = 1\n"
    types, others, members = declarations(code + "extension A { func h() {} }\nprivate(set) var i = 0\n")
    assert (types, others, members) == ({"A"}, {"d", "g", "i"}, {"A": {"h"}})


def tests_an_arrow_down_is_allowed_and_one_up_is_not() -> None:
    core = tree(Top_Plan="struct Plan { let low: Low }", Low_Low="struct Low {\n    let plan: Plan\n}")
    assert found(core) == [("Low", "Top", "Plan"), ("Top", "Low", "Low")]
    assert arrows(core)[0] == Arrow("Low", "Top", "Low/Low.swift", 2, "Plan")
    assert room_faults(core, ROOMS) == ["Core/Low/Low.swift:2: uses Plan of Top, which Low may not"]


def tests_a_type_after_a_bracket_or_before_a_colon_is_used() -> None:
    core = tree(Top_Plan="struct Plan {}", Low_Low="func low(_ plans: [Plan: Int]) {}")
    assert found(core) == [("Low", "Top", "Plan")]


def tests_a_comment_is_no_arrow() -> None:
    core = tree(Top_Plan="struct Plan {}", Low_Low='/// What Plan needs.\nstruct Low { let name = "Plan" }')
    assert found(core) == [] and room_faults(core, ROOMS) == []


def tests_a_nested_type_is_used_through_its_parent() -> None:
    core = tree(Top_Plan="enum Plan { struct Part {} }", Low_Low="struct Part {}\nlet a = Part()\nlet b = Plan.Part()")
    assert found(core) == [("Low", "Top", "Plan")]


def tests_functions_and_constants_are_arrows_and_own_names_are_not() -> None:
    core = tree(Top_Plan="func rank() {}\nlet limit = 1", Low_Low="func low() { rank(); _ = limit }")
    assert found(core) == [("Low", "Top", "rank"), ("Low", "Top", "limit")]
    assert found(tree(Top_Plan="func rank() {}", Low_Low="struct Low { let rank: Int; func f() { g(rank) } }")) == []


def tests_a_member_that_a_higher_room_gives_is_an_arrow() -> None:
    core = tree(
        Top_Plan="extension Low { func climb() {} }", Low_Low="struct Low {}\nfunc f(_ low: Low) { low.climb() }"
    )
    assert ("Low", "Top", "climb") in found(core)


def tests_an_extension_of_another_room_s_type_is_an_arrow() -> None:
    core = tree(Top_Plan="struct Plan {}", Low_Low="extension Plan {}")
    assert found(core) == [("Low", "Top", "Plan")]


def tests_a_folder_that_the_table_lacks_is_a_fault() -> None:
    assert room_faults(tree(Attic_Box="struct Box {}"), ROOMS) == ["Core/Attic: the table of rooms lacks it"]


def tests_files_in_no_folder_are_a_room() -> None:
    core = tree(Fault="struct Fault { let low: Low }", Low_Low="struct Low { let fault: Fault }")
    assert room_faults(core, ROOMS) == ["Core/Fault.swift:1: uses Low of Low, which . may not"]


def tests_a_circle_in_the_table_is_found() -> None:
    assert table_faults(ROOMS) == []
    assert table_faults({"A": {"B"}, "B": {"C"}, "C": {"A"}}) == ["rooms: C may use A, which does not stand below it"]
    assert table_faults({"A": {"A"}}) == ["rooms: A may use A, which does not stand below it"]
    assert table_faults({"A": {"D"}}) == ["rooms: A may use D, which is no room"]
