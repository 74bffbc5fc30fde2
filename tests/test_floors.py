"""The order of the rooms: a module imports from the rooms below its own, and no circle joins modules."""

import ast
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "clipforget"
FLOORS = ("core", "data", "method", "judging", "rivals", "exchange", "report", "run")
FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("[!_]*.py")}


def imported(module: str) -> set[str]:
    """The modules of the package that a module imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = f"clipforget.{module}".rpartition(".")[0]
            name = resolve_name("." * node.level + (node.module or ""), package)
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            found |= {resolve_name(a.value, "clipforget") for a in node.args[:1] if isinstance(a, ast.Constant)}
    return {name.removeprefix("clipforget.") for name in found} & FILES.keys()


IMPORTS = {module: imported(module) for module in FILES}


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_floor():
    assert {room(module) for module in FILES} == set(FLOORS)
    assert "core.settings" in IMPORTS["method.forgetting"]  # imports are found


@pytest.mark.parametrize("floor", FLOORS)
def test_no_module_imports_a_room_above_its_own(floor):
    above = FLOORS[FLOORS.index(floor) + 1 :]
    arrows = {m: sorted(n for n in IMPORTS[m] if room(n) in above) for m in IMPORTS if room(m) == floor}
    assert not {m: names for m, names in arrows.items() if names}


def test_no_circle_joins_modules():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}", pytrace=False)
