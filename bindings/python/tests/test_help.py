"""help(kvsieve): the examples of docstrings run, and every public name says what its parameters are."""

from __future__ import annotations

import doctest
import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT

import kvsieve
import kvsieve.plot
from kvsieve import _compress, _compressed, _kept, _library, _methods, _model, _report, _rope, _rows, errors, plan
from kvsieve._version import VERSION

MODULES = [kvsieve, _compress, _compressed, _kept, _library, _methods, _model, _report, _rope, _rows, errors, plan]
LISTED = re.compile(r"^ *((?:\w+, )*\w+)  +\S", re.MULTILINE)
"""A line that begins with parameters, two blanks behind them."""


def public() -> Iterator[tuple[str, Any]]:
    """Every public name, and of a class what it or a base of this package defines."""
    for module in (kvsieve, kvsieve.plot):
        for name in module.__all__:
            thing = getattr(module, name)
            yield f"{module.__name__}.{name}", thing
            for base in thing.__mro__ if isinstance(thing, type) else ():
                if base.__module__.startswith("kvsieve"):
                    yield from (
                        (f"{name}.{member}", value) for member, value in vars(base).items() if told(member, value)
                    )


def told(name: str, value: Any) -> bool:
    """Whether help() is to say what it does; `with plan` needs no words."""
    own = not name.startswith("_") or name in ("__getitem__", "__setitem__")
    return own and (isinstance(value, property) or inspect.isfunction(value))


def parameters(thing: Any) -> set[str]:
    if isinstance(thing, property):
        return set()
    if isinstance(thing, type) and "__init__" not in vars(thing):
        return set()  # it is not made by a user: list's own
    return set(inspect.signature(thing).parameters) - {"self"}


NAMES = dict(public())


def test_the_package_begins_with_an_example() -> None:
    text = pydoc.plain(pydoc.render_doc(kvsieve))
    description = text[text.index("DESCRIPTION") :].split("\n")
    assert description[1].strip().startswith(">>> ")


def test_without_a_library_there_is_help() -> None:
    environment = {"PYTHONPATH": str(ROOT / "bindings/python/src"), "KVSIEVE_LIBRARY": "/nowhere/libkvsieve.so"}
    command = [sys.executable, "-c", "import kvsieve; help(kvsieve)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"VERSION\n    {VERSION}" in done.stdout, done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module: Any) -> None:
    examples = [example for test in doctest.DocTestFinder().find(module) for example in test.examples]
    assert [example.source for example in examples if example.options] == [], "a directive, as +SKIP, is no example"
    failed, tried = doctest.testmod(module)
    assert failed == 0 and tried == len(examples)
    assert tried >= (5 if module is kvsieve else 0)


def test_the_package_s_text_names_what_is_in_it() -> None:
    words = set(re.findall(r"\w+", kvsieve.__doc__ or ""))
    assert set(kvsieve.__all__) <= words


def test_the_package_s_text_has_the_papers_as_the_library_has_them() -> None:
    papers = {
        name: paper for name, paper in re.findall(r"^(\w+) +(arXiv [\d.]+)$", kvsieve.__doc__ or "", re.MULTILINE)
    }
    assert set(papers) == {"ahakv", "taskkv", "windowkv", "dynamickv"}
    assert papers == {method.name: method.paper for method in kvsieve.methods() if method.name in papers}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_its_parameters_are(name: str) -> None:
    thing = NAMES[name]
    text = thing.__doc__ or ""
    assert text and not text.startswith(f"{name}("), "it has no docstring of its own"
    wanted = parameters(thing)
    listed = {word for line in LISTED.findall(text) for word in line.split(", ")}
    assert listed <= wanted, "it lists parameters that it does not have"
    assert wanted <= set(re.findall(r"\w+", text)), "it does not name all of its parameters"


def raised(thing: Any) -> set[str]:
    """The errors that its own lines raise."""
    function: Any = vars(thing).get("__init__") if isinstance(thing, type) else getattr(thing, "fget", thing)
    written = inspect.isfunction(function) and function.__code__.co_filename != "<string>"  # not a dataclass's
    return set(re.findall(r"raise (\w+)\(", inspect.getsource(function))) if written else set()


@pytest.mark.parametrize("name", [name for name, thing in NAMES.items() if raised(thing)])
def test_it_says_what_it_raises(name: str) -> None:
    """Itself, or its class says it of all members."""
    holder = getattr(kvsieve, name.split(".")[0], None)
    text = f"{NAMES[name].__doc__} {holder.__doc__ if isinstance(holder, type) else ''}"
    assert raised(NAMES[name]) <= set(re.findall(r"\w+", text))


def test_errors_are_looked_for() -> None:
    assert raised(kvsieve.Rope) == {"ValueError"} == raised(kvsieve.MethodInfo.parameter)
    assert raised(kvsieve.Plan.observe) == {"ValueError"} and raised(kvsieve.Kept.head) == {"IndexError"}
