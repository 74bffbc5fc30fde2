"""docs/execute.py, which writes the pages' outputs: what it keeps, and what a page that fails leaves behind."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
SPEC = util.spec_from_file_location("execute", ROOT / "docs" / "execute.py")
pages = util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)


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


@pytest.mark.parametrize("name", ["13_reminding.ipynb", "../index", "no_such_page"])
def test_only_pages_are_executed(name):
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "execute.py"), name], capture_output=True, text=True)
    assert done.returncode == 1 and "There is no page" in done.stderr
