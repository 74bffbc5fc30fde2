"""The front page is index.ipynb: README.md says the same, and its figures are those of the committed results."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd

from clipforget.scores import method_table, run_summaries

ROOT = Path(__file__).resolve().parents[1]


def text(path):
    return re.sub(r"README_files/README_\d+_\d+", "picture", path.read_text(encoding="utf-8"))


def test_readme_is_made_from_the_index(tmp_path):
    nbconvert = [sys.executable, "-m", "nbconvert", "--log-level", "WARN", "--to", "markdown", "--output-dir", str(tmp_path), "--output", "README"]
    tags = ["--TagRemovePreprocessor.enabled=True", "--TagRemovePreprocessor.remove_cell_tags", "remove_cell",
            "--TagRemovePreprocessor.remove_input_tags", "remove_input"]
    subprocess.run([*nbconvert, str(ROOT / "index.ipynb"), *tags], check=True, capture_output=True)
    assert text(tmp_path / "README.md") == text(ROOT / "README.md"), "run make readme"


def test_table_is_that_of_the_results_file():
    table = method_table(run_summaries(pd.read_csv(ROOT / "nbs" / "measured" / "benchmark.csv"))).loc["fine"]
    index = nbformat.read(ROOT / "index.ipynb", as_version=4)
    (shown,) = [o["data"]["text/html"] for c in index.cells if c.cell_type == "code" for o in c.outputs if "text/html" in o.get("data", {})]
    columns = [c for c in table if f"<th>{c}</th>" in shown]
    assert len(columns) >= 8
    assert shown == table[columns].round(1).to_html()


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (ROOT / link).exists()]
