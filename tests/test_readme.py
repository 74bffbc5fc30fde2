"""The front page is index.ipynb: README.md says the same, and its figures are those of the committed results."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
from bs4 import BeautifulSoup

from clipforget.results import tidy_runs
from clipforget.scores import GATE, method_table, run_summaries

ROOT = Path(__file__).resolve().parents[1]


def text(path):
    return re.sub(r"README_files/README_\d+_\d+", "picture", path.read_text(encoding="utf-8"))


def test_readme_is_made_from_the_index(tmp_path):
    nbconvert = [
        sys.executable,
        "-m",
        "nbconvert",
        "--log-level",
        "WARN",
        "--to",
        "markdown",
        "--output-dir",
        str(tmp_path),
        "--output",
        "README",
    ]
    tags = [
        "--TagRemovePreprocessor.enabled=True",
        "--TagRemovePreprocessor.remove_cell_tags",
        "remove_cell",
        "--TagRemovePreprocessor.remove_input_tags",
        "remove_input",
    ]
    subprocess.run([*nbconvert, str(ROOT / "index.ipynb"), *tags], check=True, capture_output=True)
    assert text(tmp_path / "README.md") == text(ROOT / "README.md"), "run make readme"


def tables_of_the_index():
    """The measured tables, as HTML: the rivals, the kinds of subgroup, the audit."""
    index = nbformat.read(ROOT / "index.ipynb", as_version=4)
    return [
        o["data"]["text/html"]
        for c in index.cells
        if c.cell_type == "code"
        for o in c.outputs
        if "text/html" in o.get("data", {})
    ]


def test_audit_is_that_of_the_results_file():
    *_, shown = tables_of_the_index()
    answers = pd.read_csv(ROOT / "nbs" / "measured" / "audit.csv")
    for how in ("as they are", "by the forgotten name", "linear probe, 16 shots", "16 pictures, 10 steps"):
        rows = answers[answers["how"] == how]
        for model in ("original", "null space", "clipforget", "mirrored"):
            x = rows[model]
            assert f"<td>{x.median():.1f} ({x.min():.0f} to {x.max():.0f})</td>" in shown


def test_table_is_that_of_the_results_file():
    table = method_table(run_summaries(tidy_runs(pd.read_csv(ROOT / "nbs" / "measured" / "rivals.csv")))).loc["fine"]
    rows = BeautifulSoup(tables_of_the_index()[0], "html.parser").select("tbody tr")
    shown = {row.th.text: [cell.text for cell in row.select("td")] for row in rows}
    best = table.sort_values("Score, mean", ascending=False).index[:8].union(["do nothing"])
    assert list(shown) == list(table.loc[best].sort_values(["gate passed", "Score, mean"], ascending=False).index)
    for method, r in table.loc[best].iterrows():
        gate, left, siblings, suite, score, seconds = shown[method]
        assert gate == f"{r['gate passed']:.0f} of {r['runs']:.0f}"
        assert siblings == f"{r['siblings, mean']:.1f} ({r['siblings, worst']:.1f})"
        assert suite == f"{r['suite, mean']:.1f} ({r['suite, worst']:.1f})"
        assert [float(left), float(score), float(seconds)] == [
            round(r[c], 1) for c in ("target, worst", "Score, mean", "seconds")
        ]


def test_kinds_are_those_of_the_results_file():
    measured = method_table(run_summaries(tidy_runs(pd.read_csv(ROOT / "nbs" / "measured" / "rivals.csv"))))
    rows = BeautifulSoup(tables_of_the_index()[1], "html.parser").select("tbody tr")
    assert len(rows) == 4
    for kind, row in zip(("fine", "coarse", "style", "cluster"), rows):
        gate, siblings, score, following, text = [cell.text for cell in row.select("td")]
        mine, r = measured.loc[kind], measured.loc[(kind, "clipforget")]
        assert gate == f"{r['gate passed']:.0f} of {r['runs']:.0f}" and score == f"{r['Score, mean']:.1f}"
        assert siblings == f"{r['siblings, mean']:.1f} ({r['siblings, worst']:.1f})"
        least, most = sorted(mine.loc[["text-space adaptation", "null-space projection"], "siblings, mean"])
        assert text == f"{least:.0f} to {most:.0f}"
        others = mine.drop("clipforget")
        best = others.loc[others["Score, mean"].idxmax()]
        passed = f"{best['gate passed']:.0f} of {best['runs']:.0f}"
        assert following == f"{best.name} {best['Score, mean']:.1f} ({passed})"


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_sentences_are_those_of_the_results_file():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    default = method_table(run_summaries(pd.read_csv(ROOT / "nbs" / "measured" / "benchmark.csv")))
    for kind in ("fine", "coarse"):
        r = default.loc[kind, "clipforget"]
        assert (
            f"{kind} labels: gate {r['gate passed']:.0f} of {r['runs']:.0f}, siblings {r['siblings, mean']:.1f} % (worst {r['siblings, worst']:.1f})"
            in readme
        )
    photos = pd.read_csv(ROOT / "nbs" / "measured" / "photos.csv")
    left = photos[(photos["column"] == "target") & (photos["method"] == "clipforget")]
    assert f"the gate is missed in {(left['value'] > GATE).sum()} of {len(left)} runs" in readme
    columns = ["dataset", "target", "seed", "column"]
    value = photos[photos["column"] != "target"].set_index([*columns, "method"])["value"].unstack("method")
    kept = 100 * value["clipforget"] / value["do nothing"]
    lowest = dict(zip(columns, kept.idxmin()))
    assert f"{lowest['column']} after {lowest['target']}, keeps only {kept.min():.0f} %" in readme
