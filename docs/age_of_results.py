"""Say which committed tables of results were made by other code of the three stages than today's, and its hashes. Nothing is wrong with them; whoever makes them anew may get other figures."""

from pathlib import Path

import pandas as pd

from clipforget.core.files import code_hash

MEASURED = Path(__file__).resolve().parents[1] / "nbs" / "experiments" / "measured"


def age(table: pd.DataFrame, today: str) -> str:
    """What there is to say of a table, in a few words; nothing where all rows are of `today`'s code."""
    if "code" not in table:
        return "does not say by which code it was made"
    older = table["code"].fillna("unknown")[table["code"] != today].value_counts()
    said = ", ".join(f"{code} ({count:,})" for code, count in older.items())
    return f"{older.sum():,} of {len(table):,} rows are of other code than today's {today}: {said}" if said else ""


def main() -> None:
    """A line a table."""
    today = code_hash("method.three_stages")
    said = {path.name: age(pd.read_csv(path, dtype=str), today) for path in sorted(MEASURED.glob("*.csv"))}
    for name, words in said.items():
        print(f"{name}: {words or 'of the present stages'}")


if __name__ == "__main__":
    main()
