"""docs/execute.py, which writes the pages' outputs: what it keeps, and what a page that fails leaves behind; docs/age_of_results.py."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]


def script(name):
    """The module docs/NAME.py."""
    spec = util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = script("execute")


def write(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    nbformat.write(notebook, path)
    return path


def test_outputs_are_kept_without_error_streams(tmp_path):
    path = write(
        tmp_path / "page.ipynb",
        "import sys\nprint('seen')\nprint('bar', file=sys.stderr)",
        "from pathlib import Path\nprint(Path.cwd().name)",
    )
    pages.execute(path)
    said = [[out["text"] for out in cell.outputs] for cell in nbformat.read(path, 4).cells]
    assert said == [["seen\n"], [f"{tmp_path.name}\n"]]
    assert [p.name for p in tmp_path.iterdir()] == ["page.ipynb"]


def test_a_page_that_fails_stays_as_it_was(tmp_path):
    path = write(tmp_path / "page.ipynb", "print('first')", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        pages.execute(path)
    assert path.read_bytes() == before


def test_only_pages_are_executed():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "execute.py"), "../index"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Unknown notebook of nbs/" in done.stderr


def test_what_is_folded_on_the_site_says_what_it_is():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in ("import math", "a = 1", "b = 2")])
    notebook.cells[1].metadata["tags"] = ["parameters", "hide-input"]
    imports, folded, plain = script("build").cleaned(notebook)["cells"]
    assert imports["metadata"]["tags"] == ["hide-input"] and "mystnb" not in imports["metadata"]
    assert "hide-input" in folded["metadata"]["tags"]
    assert folded["metadata"]["mystnb"]["code_prompt_show"] == "Show the code"
    assert "hide-input" not in plain["metadata"].get("tags", [])


def test_language_reports_every_count(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["language.py", "method/forgetting"])
    script("language").main()
    names, counted = capsys.readouterr().out.splitlines()
    assert "words before the first figure" in names and "method/forgetting" in counted


def test_tables_of_other_code_are_named():
    results = script("age_of_results")
    table = pd.DataFrame({"code": ["now", "before", None], "value": [1, 2, 3]})
    assert results.age(table, "now") == "2 of 3 rows are of other code than today's now: before (1), unknown (1)"
    assert results.age(table[:1], "now") == "" and "does not say" in results.age(table[["value"]], "now")
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "age_of_results.py")], capture_output=True, text=True)
    tables = {path.name for path in (ROOT / "nbs" / "experiments" / "measured").glob("*.csv")}
    assert done.returncode == 0 and {line.partition(":")[0] for line in done.stdout.splitlines()} == tables
    ci = (ROOT / ".ci" / "run").read_text()
    assert "docs/age_of_results.py || true" in ci  # which decides nothing
