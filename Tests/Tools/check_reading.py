"""What outputs of each kind say. The samples are what the tools print, shortened."""

from __future__ import annotations

from Tools.reading import MOST_LINES, WIDEST, read

SWIFT_STRUCT = "one → Case(numbers: [" + ", ".join(str(n) for n in range(400)) + "])"
SWIFT_FAILS = f"""\
Building for debugging...
◇ Test run started.
↳ Testing Library Version: 6.3.1
◇ Suite SampleTests started.
➜ Test later() skipped: "because"
◇ Test fine() started.
◇ Test several(_:) started.
◇ Test "a name in words" started.
◇ Test case passing 1 argument {SWIFT_STRUCT} to several(_:) started.
✘ Test several(_:) recorded an issue with 1 argument {SWIFT_STRUCT} at SampleTests.swift:7:88: Expectation failed: 2 != 2
↳ seed 2
  and a second line
✘ Test "a name in words" recorded an issue with 1 argument n → 2 at SampleTests.swift:8:6: Caught error: Broken()
✘ Test several(_:) with 6 test cases failed after 0.002 seconds with 2 issues.
✘ Test "a name in words" with 2 test cases failed after 0.002 seconds with 1 issue.
✔ Test fine() passed after 0.002 seconds.
✘ Suite SampleTests failed after 0.002 seconds with 4 issues.
✘ Test run with 4 tests in 1 suite failed after 0.002 seconds with 4 issues.
"""
SWIFT_ENDS_EARLY = """\
◇ Test run started.
◇ Test fine() started.
◇ Test crashes() started.
✔ Test fine() passed after 0.002 seconds.
Swift/ContiguousArrayBuffer.swift:692: Fatal error: Index out of range
"""
PYTEST_FAILS = """\
.F.sE                                    [100%]
=================================== FAILURES ===================================
    def test_it() -> None:
>       assert one() == 2
E       assert 1 == 2
bindings/python/tests/test_it.py:9: AssertionError
=========================== short test summary info ============================
FAILED bindings/python/tests/test_it.py::test_it[a b-1] - assert 1 == 2
ERROR bindings/python/tests/test_other.py
1 failed, 2 passed, 1 skipped, 1 error in 4.20s
"""
HARNESS_FAILS = """\
contract.c:12: a NULL plan: expected kvsieve_plan_trim(NULL, 0) is KVSIEVE_ERR_NULL
FAILED a NULL plan
contract                           20 passed, 1 failed
misuse                             9 passed, 0 failed
29 passed, 1 failed
"""


def tests_a_passing_run_is_counted() -> None:
    swift = "◇ Test run started.\n✔ Test run with 93 tests in 9 suites passed after 3.1 seconds.\n"
    assert (read(swift, 0).passed, read(swift, 0).failed) == (93, 0)
    assert read("....\n704 passed in 4.94s\n", 0).passed == 704
    assert read("== 704 passed, 3 warnings in 64.94s (0:01:04) ==\n", 0).passed == 704
    assert read("12 passed, 0 failed\nkept\n120 passed, 0 failed\n", 0).passed == 120
    assert read("nothing to count\n", 0).passed == 1


def tests_colours_do_not_hide_a_run() -> None:
    assert (
        read("\x1b[92m◇\x1b[0m Test run started.\n\x1b[92m✔\x1b[0m Test run with 4 tests in 1 suite passed\n", 0).passed
        == 4
    )


def tests_swift_failures_have_names_and_reasons() -> None:
    found = read(SWIFT_FAILS, 1)
    assert (found.passed, found.failed) == (1, 3)
    assert found.names == ["several(_:)", '"a name in words"', "later(): skipped"]
    assert "↳ seed 2" in found.lines and "  and a second line" in found.lines
    assert not any("◇" in line or "failed after" in line for line in found.lines)
    assert max(map(len, found.lines)) <= WIDEST


def tests_a_swift_run_that_ends_early_has_failed() -> None:
    found = read(SWIFT_ENDS_EARLY, 132)
    assert (found.passed, found.failed) == (0, 1)
    assert "crashes()" in found.names[0] and "fine()" not in found.names[0]
    assert any("Index out of range" in line for line in found.lines)


def tests_a_run_without_tests_has_failed() -> None:
    assert read("◇ Test run started.\n✔ Test run with 0 tests in 0 suites passed after 0.004 seconds.\n", 0).failed == 1


def tests_pytest_failures_errors_and_skips_count() -> None:
    found = read(PYTEST_FAILS, 1)
    assert (found.passed, found.failed) == (2, 3)
    assert found.names == ["bindings/python/tests/test_it.py::test_it[a b-1]", "bindings/python/tests/test_other.py"]
    assert (
        "E       assert 1 == 2" in found.lines and "bindings/python/tests/test_it.py:9: AssertionError" in found.lines
    )


def tests_our_programs_name_what_failed() -> None:
    found = read(HARNESS_FAILS, 1)
    assert (found.passed, found.failed, found.names) == (29, 1, ["a NULL plan"])
    assert "contract.c:12" in found.lines[0]


def tests_a_bad_status_is_a_failure_whatever_was_counted() -> None:
    assert read("9 passed, 0 failed\n", 1).failed == 1
    assert read("", -11).names == ["exit status -11"]


def tests_a_compiler_s_errors_are_shown_from_a_long_output() -> None:
    noise = [f"[{n}/900] Compiling" for n in range(900)]
    error = ["/a/Plan.swift:7:3: error: cannot find 'x' in scope", "  7 | x", "    | ^"]
    found = read("\n".join([*noise[:450], *error, *noise[450:]]), 1)
    assert found.lines == error


def tests_a_long_failure_is_cut() -> None:
    output = "\n".join(f"a.c:{n}: error: no" for n in range(100))
    assert len(read(output, 1).lines) == MOST_LINES + 1 and read(output, 1).lines[-1].endswith("lines more")
