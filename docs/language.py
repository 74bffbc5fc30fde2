"""How the pages read: words, sentences, what is long and what is passive, page by page. A help for editing; it decides nothing."""

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


def prose(path: Path) -> str:
    """What a reader reads on a page: its text without code, tables, formulas and headings; a link is its words, code one word."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", NO_PROSE.sub("\n\n", text))
    return re.sub(r"`[^`]*`|\$[^$\n]+\$", "X", re.sub(r"(?m)^\s*(?:[-*>]|\d+\.)\s+", "\n\n", text)).replace("*", "")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order."""
    parts = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    return [s for p in parts for s in re.split(r"(?<=[.!?:])\s+(?=[A-Z\"'(])", p) if len(s.split()) > 1]


def main() -> None:
    """Print a line a page, and with -v the sentences that are long or passive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="names such as method/forgetting; all of nbs/ if none")
    parser.add_argument("-v", action="store_true", help="show the sentences")
    asked = parser.parse_args()
    nbs = ROOT / "nbs"
    paths = [nbs / f"{p}.ipynb" for p in asked.pages] or [
        p for p in sorted(nbs.rglob("*.ipynb")) if ".ipynb_" not in str(p)
    ]
    print(f"{'page':36} words  sentences  words per sentence  over {LONG} words  passive")
    for path in paths:
        said = sentences(prose(path))
        counts = [len(s.split()) for s in said]
        long, passive = [s for s, n in zip(said, counts) if n > LONG], [s for s in said if PASSIVE.search(s)]
        mean = sum(counts) / max(1, len(said))
        name = path.relative_to(nbs).with_suffix("").as_posix()
        print(f"{name:36} {sum(counts):5} {len(said):11} {mean:20.1f} {len(long):14} {len(passive):9}")
        for kind, found in (("long", long), ("passive", passive)) if asked.v else ():
            print(*(f"  {kind}: {s}" for s in found), sep="\n")


if __name__ == "__main__":
    main()
