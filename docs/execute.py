"""Execute pages in place and keep what they show, as it is committed: no progress bars, no state of widgets."""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from clipforget.core.files import find_page, pages, write_atomic

ROOT = Path(__file__).resolve().parents[1]


def page(name: str) -> Path:
    """The notebook of a name like `method/reminding`, `reminding` or `index`; SystemExit with what there is for another one."""
    try:
        return ROOT / "index.ipynb" if name == "index" else find_page(name, ROOT)
    except ValueError as error:
        raise SystemExit(str(error)) from error


def execute(path: Path) -> None:
    """Run a notebook in its folder and write it back with its outputs; one that fails stays as it was."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    notebook.metadata.pop("widgets", None)
    with write_atomic(path) as temporary:
        nbformat.write(notebook, temporary)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="names without a suffix; all pages if none is given")
    named = [page(name) for name in parser.parse_args().pages]
    paths = named or [*pages(ROOT), ROOT / "index.ipynb"]
    bar = tqdm(paths)
    for path in bar:
        bar.set_description(path.stem)
        execute(path)


if __name__ == "__main__":
    main()
