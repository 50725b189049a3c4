"""How a plain comment becomes Doxygen's, and which links are found to lead nowhere, on crafted text."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from Manual.links import anchors, html_faults, markdown_faults, pages

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "docs/manual"))

import header
import prose

FUNCTION = """\
/** Takes some rows: at most n.
 *  Further text is here.
 *  Shapes  plan  finished
 *          rows  out: (H, m), of
 *                two lines
 *          If it has nothing, rows may be NULL.
 *  Cost    one pass
 *  Memory  none
 *  Errors  as in another(), and
 *          KVSIEVE_ERR_NULL   plan is NULL
 *          KVSIEVE_ERR_STATE  it is too early,
 *                             or too late */"""
PROTOTYPE = "kvsieve_status kvsieve_take(kvsieve_plan *plan, int32_t *rows);"


def tests_labelled_lines_become_parameters_and_statuses() -> None:
    lines = [line for line in header.documented(prose.body(FUNCTION), PROTOTYPE).split("\n") if line]
    assert lines == [
        "/**",
        "Takes some rows: at most n. Further text is here.",
        "@param plan finished",
        "@param rows out: (H, m), of two lines",
        "@par Further",
        "If it has nothing, rows may be NULL.",
        "@par Cost",
        "one pass",
        "@par Memory",
        "none",
        "@par Errors",
        "as in another(), and",
        "@retval KVSIEVE_ERR_NULL plan is NULL",
        "@retval KVSIEVE_ERR_STATE it is too early, or too late",
        "*/",
    ], lines


def tests_a_parameter_without_a_line_is_not_made_up() -> None:
    text = FUNCTION.replace("plan  finished", "the plan")
    assert "@param plan" not in header.documented(prose.body(text), PROTOTYPE)


def tests_terms_code_and_columns() -> None:
    terms = ["Two are:", "one      a text", "         of two lines", "another  a text"]
    code = ["They are called:", "    f(x);", "", "    a  b", "    c  d", "End.", "Rows:   a  b", "  of x  1  2"]
    found = "\n".join(prose.prose([*terms, *code])).split("\n")
    assert [part for part in found if part] == [
        *("Two are:", '<dl class="terms">'),
        *("<dt>one</dt><dd>", "a text of two lines", "</dd>", "<dt>another</dt><dd>", "a text", "</dd>", "</dl>"),
        *("They are called:", "@code{.c}", "f(x);", "@endcode", "@verbatim", "a  b", "c  d", "@endverbatim"),
        *("End.", "@verbatim", "Rows:   a  b", "  of x  1  2", "@endverbatim"),
    ], found


def tests_nothing_in_a_comment_is_a_command() -> None:
    assert (
        prose.escaped("a <b> & @c \\d #e 5 % `f<g>`")
        == "a &lt;b&gt; &amp; \\@c \\\\d \\#e 5 \\% <code>f&lt;g&gt;</code>"
    )


def tests_a_line_that_ends_early_ends_a_paragraph() -> None:
    wide = "A line that is as wide as the comment is, and is not the end of its"
    assert prose.paragraphs([wide, "sentence.", "The next.", wide]) == [f"{wide} sentence.", "The next.", wide]


def tests_html_links() -> None:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve()
        (folder / "sub").mkdir()
        (folder / "a.html").write_text(
            '<a href="sub/b.html#there">x</a><a href="sub/b.html#not">x</a><a href="#not">x</a><a href="c.html">x</a>'
            '<a href="https://example.org/none">x</a><a href="../out.html">x</a><p id="own">x</p><a href="#own">x</a>'
        )
        (folder / "sub/b.html").write_text('<p id="there">x</p><a href="../a.html">x</a>')
        assert html_faults(pages(folder), folder) == [
            "a.html: sub/b.html#not: no such place",
            "a.html: #not: no such place",
            "a.html: c.html leads nowhere",
            "a.html: ../out.html leads nowhere",
        ]


def tests_markdown_links() -> None:
    with tempfile.TemporaryDirectory() as work:
        root = Path(work).resolve()
        (root / "a.md").write_text(
            "# One `two` three\n[x](b.md) [x](b.md#a-heading) [x](b.md#none) [x](c.md) [`y`](#one-two-three)\n"
            "`[x](code.md)` [x](https://example.org)\n```\n[x](code.md)\n# no heading\n```\n[ref]: d.md\n[ref]\n"
            "[x](e.md \"a title\") [x](f.md\n'another') [x][ref] [`y`][Ref] [x][nowhere] [z][] a[0][1]\n[x](sub#a) [x](sub)\n"
        )
        (root / "sub").mkdir()
        (root / "b.md").write_text("## A heading\n## A heading\n")
        assert markdown_faults(root / "a.md", root) == (
            10,
            [
                "a.md: [nowhere] is not defined",
                "a.md: [z] is not defined",
                "a.md: b.md#none: no such heading",
                "a.md: c.md leads nowhere",
                "a.md: e.md leads nowhere",
                "a.md: f.md leads nowhere",
                "a.md: sub#a: no such heading",
                "a.md: d.md leads nowhere",
            ],
        )
        assert anchors("# A, b & c\n# A heading\n# A heading\n") == {"a-b--c", "a-heading", "a-heading-1"}
