"""What _abi.py and _prototypes.py say is what the C compiler reads in include/kvsieve.h."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
from conftest import INCLUDE, compile_c

from kvsieve import _abi, _version
from kvsieve._prototypes import PROTOTYPES

FIELD_TYPES = {
    ctypes.c_int32: "int32_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_float: "float",
    ctypes.c_double: "double",
    ctypes.c_char_p: "const char *",
    ctypes.c_void_p: "void *",
    ctypes.POINTER(ctypes.c_int64): "const int64_t *",
    ctypes.POINTER(ctypes.c_int32): "const int32_t *",
    ctypes.POINTER(ctypes.c_float): "const float *",
    _abi.ALL_GATHER: "kvsieve_all_gather",
    ctypes.c_int32 * 2: "int32_t *",  # an array decays in _Generic, and to one type whatever its length
    ctypes.c_int32 * 3: "int32_t *",
}
TYPES = ("F32", "F16", "BF16", "BYTES", "F8_E4M3", "F8_E5M2", "Q8_0", "Q4_0")
STRUCTURES = [structure for structure in _abi.STRUCTURES if structure is not _abi.kvsieve_plan]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Sizes, offsets, types and constants as C has them."""
    lines = []
    types = ", ".join(f'{name}: "{name}"' for name in dict.fromkeys(FIELD_TYPES.values()))
    for structure in STRUCTURES:
        c = structure.__name__
        lines.append(f'printf("{c}=%zu\\n", sizeof({c}));')
        for field, _ in structure._fields_:
            member = f"(({c} *)0)->{field}"
            what = f'offsetof({c}, {field}), sizeof({member}), _Generic({member}, {types}, default: "other")'
            lines.append(f'printf("{c}.{field}=%zu %zu %s\\n", {what});')
    needs = ("NEEDS_QUERIES", "NEEDS_KEYS", "NEEDS_VALUES", "NEEDS_ALL_QUERIES", "NEEDS_LENGTH")
    ropes = ("ROPE_HALVES", "ROPE_NEIGHBOURS")
    for constant in ("OK", *TYPES, *needs, *ropes, "VERSION"):
        lines.append(f'printf("{constant}=%d\\n", (int)KVSIEVE_{constant});')
    folder = tmp_path_factory.mktemp("layout")
    source = folder / "probe.c"
    includes = "#include <kvsieve.h>\n#include <stddef.h>\n#include <stdio.h>\n"
    source.write_text(includes + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    probe = compile_c(source, folder / "probe")
    printed = subprocess.run([str(probe)], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.__name__)
def test_structure(structure: type[ctypes.Structure], measured: dict[str, str]) -> None:
    name = structure.__name__
    assert measured[name] == str(ctypes.sizeof(structure))
    for field, ctype, *_ in structure._fields_:
        place = getattr(structure, field)
        assert measured[f"{name}.{field}"] == f"{place.offset} {place.size} {FIELD_TYPES[ctype]}", f"{name}.{field}"


def test_every_structure_of_the_header_is_compared() -> None:
    declared = re.findall(r"^\} (kvsieve_\w+);", (INCLUDE / "kvsieve.h").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(structure.__name__ for structure in STRUCTURES)
    assert _abi.kvsieve_slots in STRUCTURES


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.__name__)
def test_structure_has_every_field_of_the_header(structure: type[ctypes.Structure]) -> None:
    name = structure.__name__
    header = re.sub(r"/\*.*?\*/", "", (INCLUDE / "kvsieve.h").read_text(), flags=re.DOTALL)
    body = re.search(rf"typedef struct {name} {{(.*?)}} {name};", header, re.DOTALL)
    assert body is not None
    declared = re.findall(r"(\w+)(?:\[\d+\])?\s*[;,]", body.group(1))
    assert declared == [field for field, *_ in structure._fields_]


def test_constants(measured: dict[str, str]) -> None:
    assert measured["OK"] == str(_abi.OK)
    assert {name: int(measured[name]) for name in TYPES} == {
        "F32": _abi.DTYPES["float32"],
        "F16": _abi.DTYPES["float16"],
        "BF16": _abi.DTYPES["bfloat16"],
        "BYTES": _abi.BYTES,
        "F8_E4M3": _abi.DTYPES["float8_e4m3fn"],
        "F8_E5M2": _abi.DTYPES["float8_e5m2"],
        "Q8_0": _abi.QUANTISED["q8_0"][0],
        "Q4_0": _abi.QUANTISED["q4_0"][0],
    }
    assert {name: code for name, (code, _, _) in _abi.QUANTISED.items() if name in _abi.DTYPES} == {
        name: code for name, code in _abi.DTYPES.items() if name.startswith("float8")
    }
    needs = [int(measured[f"NEEDS_{name.upper()}"]) for name in _abi.NEEDS]
    assert needs == list(_abi.NEEDS.values())
    pairings = [int(measured[f"ROPE_{name.upper()}"]) for name in _abi.PAIRINGS]
    assert pairings == list(_abi.PAIRINGS.values())
    header = (INCLUDE / "kvsieve.h").read_text()
    assert sorted(re.findall(r"^    KVSIEVE_NEEDS_(\w+)", header, re.MULTILINE)) == sorted(map(str.upper, _abi.NEEDS))


def test_package_has_the_version_of_the_header(measured: dict[str, str]) -> None:
    major, minor, patch = map(int, _version.VERSION.split("."))
    assert int(measured["VERSION"]) == major * 10000 + minor * 100 + patch


def test_prototypes_are_those_of_the_header(tmp_path: Path) -> None:
    """Assigned to a pointer of the type that the table says, every function must compile without a warning."""
    pointers = []
    for name, (returns, parameters) in PROTOTYPES.items():
        types = ", ".join(c_type for c_type, _ in parameters) or "void"
        pointers.append(f"{returns} (*p_{name})({types}) = {name};")
    (tmp_path / "prototypes.c").write_text("#include <kvsieve.h>\n" + "\n".join(pointers) + "\n")
    compile_c(tmp_path / "prototypes.c", tmp_path / "prototypes.o", "-c")


def test_every_function_of_the_header_has_a_prototype() -> None:
    header = (INCLUDE / "kvsieve.h").read_text()
    declared = re.findall(r"^KVSIEVE_API[^;(]*?\b(kvsieve_\w+)\(", header, re.MULTILINE)
    assert sorted(declared) == sorted(PROTOTYPES)


@pytest.mark.parametrize(
    ("c_type", "expected"),
    [
        ("void", None),
        ("int32_t", ctypes.c_int32),
        ("double *", ctypes.POINTER(ctypes.c_double)),
        ("const char *", ctypes.c_char_p),
        ("void *", ctypes.c_void_p),
        ("const kvsieve_plan *", ctypes.POINTER(_abi.kvsieve_plan)),
        ("struct kvsieve_plan * *", ctypes.POINTER(ctypes.POINTER(_abi.kvsieve_plan))),
        ("kvsieve_plan **", ctypes.POINTER(ctypes.POINTER(_abi.kvsieve_plan))),
    ],
)
def test_ctype(c_type: str, expected: object) -> None:
    assert _abi.ctype(c_type) is expected


def test_ctype_names_a_type_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"C type 'size_t', which _abi.py does not know"):
        _abi.ctype("size_t *")
