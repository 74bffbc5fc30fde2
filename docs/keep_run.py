"""Keep a run of nbs/run.ipynb on photographs as a page: its figures and tables without the photographs, which are not ours to give away, and without the paths of folders."""

import argparse
from pathlib import Path

import nbformat

from clipforget.core.files import data_folder, results_folder, write_atomic

EXECUTED = Path(__file__).resolve().parents[1] / "nbs" / "experiments" / "_executed"
METADATA = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}


def without_photographs(notebook: nbformat.NotebookNode, whose: str) -> nbformat.NotebookNode:
    """The notebook with a line in the place of every output that shows pixels, and `data` and `results` in the place of the folders' paths; error streams and traces of the execution are left out."""
    text = nbformat.writes(notebook).replace(str(data_folder()), "data").replace(str(results_folder()), "results")
    notebook = nbformat.reads(text, as_version=4)
    said = f"[Photographs of {whose}. They are not ours to give away, so this copy leaves them out: run the page to see them.]\n"
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata.get("tags", [])}
        if cell.cell_type == "code":
            cell.execution_count = None
            kept = [out for out in cell.outputs if out.get("name") != "stderr"]
            pixels = [out for out in kept if {"image/png", "image/jpeg"} & set(out.get("data", {}))]
            line = [nbformat.v4.new_output("stream", name="stdout", text=said)] if pixels else []
            cell.outputs = [out for out in kept if out not in pixels] + line
            for out in cell.outputs:
                if "execution_count" in out:
                    out.execution_count = None
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the executed notebook, as papermill wrote it")
    parser.add_argument("name", help="of the page: nbs/experiments/_executed/run-NAME.ipynb")
    parser.add_argument("--photographs", required=True, help="whose they are, such as PACS")
    given = parser.parse_args()
    page = without_photographs(nbformat.read(given.run, as_version=4), given.photographs)
    with write_atomic(EXECUTED / f"run-{given.name}.ipynb") as temporary:
        nbformat.write(page, temporary)


if __name__ == "__main__":
    main()
