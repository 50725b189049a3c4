"""Which library is loaded, and which is refused. Each case is a process of its own: a library is loaded once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import compile_c

import kvsieve
from kvsieve import _library
from kvsieve._prototypes import PROTOTYPES
from kvsieve._version import VERSION

PACKAGE = Path(kvsieve.__file__).parent
OURS = sum(int(part) * weight for part, weight in zip(VERSION.split("."), (10000, 100, 1)))


def stub(path: Path, info: str, version: int = OURS, without: str = "") -> Path:
    """A library that has every function, does nothing, and says `info`."""
    special = {
        "kvsieve_version": f"int kvsieve_version(void) {{ return {version}; }}",
        "kvsieve_build_info": f'const char *kvsieve_build_info(void) {{ return "{info}"; }}',
    }
    functions = [special.get(name, f"int {name}(void) {{ return 0; }}") for name in PROTOTYPES if name != without]
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".c")
    source.write_text("\n".join(functions) + "\n")
    return compile_c(source, path, "-shared", "-fPIC")


def run(code: str, cwd: Path, package: Path = PACKAGE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python on `code`, with the package of that folder and only these variables of ours."""
    kept = {name: value for name, value in os.environ.items() if name not in ("KVSIEVE_LIBRARY", "LD_LIBRARY_PATH")}
    kept.update(environment, PYTHONPATH=str(package.parent))
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=kept, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def info(cwd: Path, package: Path = PACKAGE, **environment: str) -> str:
    done = run("import kvsieve; print(kvsieve.build_info())", cwd, package, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def copy_of_package(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("*.so*", "__pycache__")
    return Path(shutil.copytree(PACKAGE, folder / "kvsieve", ignore=ignored))


def test_search_order(tmp_path: Path) -> None:
    package = copy_of_package(tmp_path / "site")
    named = stub(tmp_path / "somewhere" / "any name.so", "variable")
    stub(tmp_path / "loader" / "libkvsieve.so.0", "loader")
    loader = str(tmp_path / "loader")

    assert info(tmp_path, package, LD_LIBRARY_PATH=loader) == "loader"
    stub(package / "libkvsieve.so", "beside")
    assert info(tmp_path, package, LD_LIBRARY_PATH=loader) == "beside"
    stub(package / "libkvsieve.so.0", "beside, with its soname")
    assert info(tmp_path, package, LD_LIBRARY_PATH=loader) == "beside, with its soname"
    assert info(tmp_path, package, LD_LIBRARY_PATH=loader, KVSIEVE_LIBRARY=str(named)) == "variable"


def test_variable_may_be_a_relative_path_without_a_slash(tmp_path: Path) -> None:
    stub(tmp_path / "mine.so", "relative")
    assert info(tmp_path, KVSIEVE_LIBRARY="mine.so") == "relative"


def test_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    package = copy_of_package(tmp_path / "site")
    stub(package / "libkvsieve.so.0", "beside")
    assert info(tmp_path, package, KVSIEVE_LIBRARY="") == "beside"


def test_importing_the_package_loads_nothing(tmp_path: Path) -> None:
    done = run("import kvsieve", tmp_path, KVSIEVE_LIBRARY=str(tmp_path / "missing.so"))
    assert done.returncode == 0, done.stderr


def test_missing_library_is_an_import_error_that_says_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "missing.so"
    stub(tmp_path / "loader" / "libkvsieve.so.0", "loader")  # not fallen back to: the variable was meant
    code = "import kvsieve\ntry: kvsieve.methods()\nexcept ImportError as error: print(error)"
    done = run(code, tmp_path, KVSIEVE_LIBRARY=str(missing), LD_LIBRARY_PATH=str(tmp_path / "loader"))
    assert done.stdout.startswith("libkvsieve could not be loaded"), done.stderr
    assert str(missing) in done.stdout
    assert "set KVSIEVE_LIBRARY" in done.stdout


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to a pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """The loader would open a pipe and wait for ever for someone who writes."""
    place = tmp_path / "libkvsieve.so"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        place = Path("/dev/null")
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to(tmp_path / "pipe")
    code = "import kvsieve\ntry: kvsieve.methods()\nexcept ImportError as error: print(error)"
    done = run(code, tmp_path, KVSIEVE_LIBRARY=str(place))
    assert done.stdout == f"{place} is not a regular file: expected libkvsieve.so\n", done.stderr


@pytest.mark.parametrize("difference", [30000, -1, -100])  # MAJOR 3 higher; older by a patch, by a minor
def test_another_major_version_and_an_older_library_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: int
) -> None:
    monkeypatch.setattr(_library, "VERSION", "1.2.3")
    other = stub(tmp_path / "other.so", "other", version=10203 + difference)
    with pytest.raises(ImportError) as caught:
        _library.load(str(other))
    assert str(caught.value) == (
        f"{other} is libkvsieve {_library.version_text(10203 + difference)}, but this package was written for 1.2.3: "
        f"it takes a library 1.x that is not older"
    )


@pytest.mark.parametrize("difference", [0, 1, 203])  # the same; newer by a patch, by two minors
def test_a_newer_library_of_the_same_major_version_is_taken(tmp_path: Path, difference: int) -> None:
    other = stub(tmp_path / "newer.so", "newer", version=OURS + difference)
    assert _library.load(str(other)).kvsieve_build_info() == b"newer"


def test_library_that_lacks_a_function_is_refused(tmp_path: Path) -> None:
    old = stub(tmp_path / "old.so", "old", without="kvsieve_plan_kept")
    with pytest.raises(ImportError, match=r"old\.so is not a libkvsieve that this package .* kvsieve_plan_kept"):
        _library.load(str(old))


def test_library_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("int nothing;\n")
    other = compile_c(tmp_path / "empty.c", tmp_path / "empty.so", "-shared", "-fPIC")
    with pytest.raises(ImportError, match=r"empty\.so is not a libkvsieve"):
        _library.load(str(other))


def test_version_is_the_library_s() -> None:
    assert kvsieve.version() == _library.version_text(_library.library().kvsieve_version())
    assert kvsieve.__version__ == kvsieve.version()
    assert kvsieve.version().count(".") == 2


def test_version_text() -> None:
    assert _library.version_text(100) == "0.1.0"
    assert _library.version_text(123456) == "12.34.56"


def test_build_info_is_one_line_with_the_version() -> None:
    assert kvsieve.version() in kvsieve.build_info()
    assert "\n" not in kvsieve.build_info()


def test_package_has_no_other_magic_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'presets'"):
        _ = kvsieve.presets
    assert all(hasattr(kvsieve, name) for name in kvsieve.__all__)
