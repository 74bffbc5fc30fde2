"""How the pages read: words, sentences, code and figures, page by page; which sentences are long or passive. A help for editing: no test asks for a number of it."""

import argparse
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONG = 25  # words
PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being|gets?|got)\s+(?:\w+ly\s+|not\s+)?(\w+ed|\w+wn|built|chosen|done|drawn|found|given|held|hidden|kept|left|lost|made|meant|put|read|said|seen|sent|set|shown|split|taken|taught|told|tuned|written)\b"
)
NO_PROSE = re.compile(r"```.*?```|\$\$.*?\$\$|^\s*\|[^\n]*$|^#+ [^\n]*$|<[^>]+>", re.MULTILINE | re.DOTALL)


def cells_of(path: Path) -> list[dict]:
    """The cells of a page that a reader sees."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [c for c in cells if not "".join(c["source"]).startswith(("#| hide", "#| default_exp"))]


def prose(cells: list[dict]) -> str:
    """What a reader reads: the text without code, tables, formulas and headings; a link is its words, code one word."""
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", NO_PROSE.sub("\n\n", text))
    return re.sub(r"`[^`]*`|\$[^$\n]+\$", "X", re.sub(r"(?m)^\s*(?:[-*>]|\d+\.)\s+", "\n\n", text)).replace("*", "")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order."""
    parts = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    return [s for p in parts for s in re.split(r"(?<=[.!?:])\s+(?=[A-Z\"'(])", p) if len(s.split()) > 1]


def counts(cells: list[dict]) -> dict[str, float]:
    """What is counted on a page, by the name of its column."""
    said = sentences(prose(cells))
    words = [len(s.split()) for s in said]
    code = ["".join(c["source"]).splitlines() for c in cells if c["cell_type"] == "code"]
    shows = [k for k, c in enumerate(cells) if any("image/" in str([*o.get("data", {})]) for o in c.get("outputs", []))]
    beside = lambda k: len(prose([*cells[max(0, k - 1) : k], *cells[k + 1 : k + 2]]).split())
    return {
        "words": sum(words),
        "sentences": len(said),
        "words a sentence": round(sum(words) / max(1, len(said)), 1),
        f"over {LONG} words": sum(n > LONG for n in words),
        "passive": sum(bool(PASSIVE.search(s)) for s in said),
        "lines of code": sum(map(len, code)),
        "longest cell": max(map(len, code), default=0),
        "figures": len(shows),
        "figures with few words beside them": sum(beside(k) < 8 for k in shows),
        "words before the first figure": len(prose(cells[: shows[0]]).split()) if shows else 0,
    }


def main() -> None:
    """Print a line a page, and with -v the sentences that are long or passive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="names such as method/forgetting; all of nbs/ if none")
    parser.add_argument("-v", action="store_true", help="show the sentences")
    asked = parser.parse_args()
    nbs = ROOT / "nbs"
    every = sorted(p for p in nbs.rglob("*.ipynb") if ".ipynb_" not in str(p))
    for k, path in enumerate([nbs / f"{p}.ipynb" for p in asked.pages] or every):
        cells = cells_of(path)
        counted = counts(cells)
        if not k:
            print(f"{'page':32} {'  '.join(counted)}")
        numbers = "  ".join(f"{value:{len(name)}}" for name, value in counted.items())
        print(f"{path.relative_to(nbs).with_suffix('').as_posix():32} {numbers}")
        for sentence in sentences(prose(cells)) if asked.v else ():
            kinds = {"long": len(sentence.split()) > LONG, "passive": PASSIVE.search(sentence)}
            print(*(f"  {kind}: {sentence}\n" for kind, is_so in kinds.items() if is_so), sep="", end="")
    if not asked.pages:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        first = re.sub(
            r"<table.*?</table>|```.*?```|!\[.*?\]\(.*?\)|\]\(.*?\)", "", readme.partition("\n## ")[0], flags=re.S
        )
        print(f"README.md: {len(readme)} characters, {len(first.split())} words on the first screen")


if __name__ == "__main__":
    main()
