"""The pages that show committed experiments can make them anew.

A run of two steps a stage, up to the cell that makes the rows; or the smallest run of a page, to its end.
"""

import pandas as pd
import pytest
import torch

from clipforget.core.files import project_root
from clipforget.data import emoji
from parameters import run_page
from views import write_views

SHORT = {"settings": '{"forget_steps": 2, "remind_steps": 2}'}
FEW = "do nothing; null-space projection"


@pytest.fixture()
def few_pictures(monkeypatch):
    """Every tenth picture of the suite, which is enough to see that runs are made."""
    whole = emoji.emoji_suite
    tenth = lambda part: part.subset(torch.arange(0, len(part), 10))
    monkeypatch.setattr(emoji, "emoji_suite", lambda *args: {n: tenth(p) for n, p in whole(*args).items()})


def executed(page, given, until=None):
    """The cells of a page that was run with the parameters `given`, up to the first one that contains `until`, or all."""
    return run_page(page, given, until)[0]


@pytest.fixture()
def nothing_published():
    """What is committed as measured stays as it was."""
    state = lambda: {f: f.read_bytes() for f in (project_root() / "nbs" / "experiments" / "measured").rglob("*.*")}
    before = state()
    yield
    assert state() == before


def said(cells):
    """All that the cells have printed."""
    return "".join("".join(out.get("text", "")) for cell in cells for out in cell.get("outputs", []))


@pytest.mark.long
def test_rivals_are_searched_and_judged_anew(tmp_path, few_pictures, nothing_published):
    committed = tmp_path / "committed"
    given = {"kinds": "coarse", "methods": FEW, "targets": 1, "seeds": 1, "trials": 1}
    places = {"results": str(tmp_path / "results"), "committed": str(committed)}
    cells = executed("rivals", {"make": True, "publish": True, **places, **given})
    runs, searches = pd.read_csv(committed / "rivals.csv"), pd.read_csv(committed / "rivals_settings.csv")
    assert set(runs["method"]) == {"do nothing", "null-space projection"} and len(runs) == 2
    assert list(searches["method"]) == ["null-space projection"] and searches["trials"].tolist() == [1]
    assert len(list((tmp_path / "results").rglob("*.csv"))) == 2
    assert "2 of 2 runs" in said(cells) and "coarse: the gate is passed in every run by" in said(cells)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """STYLE/CLASS/picture, of three things."""
    root = tmp_path_factory.mktemp("styles")
    for style, word in enumerate(("drawn", "painted")):
        for name in ("turtle", "violin", "banana"):
            write_views(root / word / name, name, seed=style, style=style)
    return root


@pytest.mark.long
def test_rivals_meet_on_other_data(tmp_path, tree, nothing_published):
    given = {"dataset": "style", "data_root": str(tree), "backbone": "emoji-rn", "results": str(tmp_path)}
    few = {"judge": "turtle, drawn", "tune_on": "violin, painted", "methods": FEW, "seeds": 1, "trials": 1}
    cells = executed("rivals", {"make": True, "publish": True, **given, **few})
    runs = pd.read_csv(tmp_path / "style" / "rivals.csv")
    assert set(runs["target"]) == {"turtle, drawn"} and set(runs["method"]) == {"do nothing", "null-space projection"}
    kept = [f"{c} (%)" for c in ("siblings", "siblings, same style", f"{tree.name}, others")]
    assert (runs.loc[runs["method"] == "do nothing", kept] > 50).all(axis=None)
    again = executed("rivals", {**given, **few})  # shown, with nothing made
    assert all("style: the gate is passed in every run by" in said(shown) for shown in (cells, again))
    assert "2 of 2 runs" in said(again)


WAYS = "one after another, with replay; all at once"
ON_OTHER_DATA = {
    "siblings": ({"cases": "few; target among them; no images"}, "5 runs; their files are in"),
    "continual": ({"judge": "turtle, drawn; violin, painted", "ways": WAYS}, "2 runs; their files are in"),
}


@pytest.mark.long
@pytest.mark.parametrize("page", ON_OTHER_DATA)
def test_other_data_by_a_parameter(page, tmp_path, tree, nothing_published):
    own, told = ON_OTHER_DATA[page]
    given = {"dataset": "style", "data_root": str(tree), "backbone": "emoji-rn", "results": str(tmp_path), "make": True}
    assert told in said(executed(page, {**given, "judge": "turtle, drawn", **SHORT, **own}))
    rows = pd.concat([pd.read_csv(file) for file in tmp_path.rglob("*.csv")])
    assert rows["column"].str.contains(f"{tree.name}, others").any() and rows["value"].between(0, 100).all()
    if page == "continual":  # one of the pairs is not judged by what the other one forgets
        assert set(rows["column"]) == {"target 0", "target 1", "siblings 0", "siblings 1", f"{tree.name}, others"}


@pytest.mark.parametrize(
    "page, judge, error",
    [
        ("siblings", {"judge": "dog, cartoon; horse, photo"}, r"-p make true and .*targets with -p judge"),
        ("rivals", {"judge": "turtle, drawn"}, "-p judge and others with -p tune_on"),
        ("rivals", {"judge": "turtle, drawn", "tune_on": "turtle, drawn"}, "-p judge and others with -p tune_on"),
    ],
)
def test_other_data_need_targets_and_are_not_published(page, judge, error):
    with pytest.raises(ValueError, match=error):
        executed(page, {"dataset": "style", **judge}, "on_photos")


@pytest.mark.parametrize("page, more", [("siblings", {}), ("rivals", {"tune_on": "violin, painted"})])
def test_an_unknown_target_is_refused_before_anything_slow(page, more, tree):
    given = {"dataset": "style", "data_root": str(tree), "make": True, "judge": "turtel, drawn", **more}
    with pytest.raises(ValueError, match=r"Unknown class 'turtel'\. Did you mean 'turtle'"):
        executed(page, given, "on_photos")


@pytest.mark.long
def test_a_pair_is_audited_anew(tmp_path, few_pictures, nothing_published):
    given = {"edited": "null-space projection", "questions": "other pictures; retrieval"}
    asked = said(executed("audit", {"make": True, "target": "hotel", "results": str(tmp_path), **given}))
    for name in ("original", "null-space projection", "oracle-1", "oracle-2", "twin-1"):
        assert f"{name}: asked, " in asked
    assert "'hotel' is" in asked and (tmp_path / "telling.png").exists()


@pytest.mark.long
def test_an_audit_beside_a_single_oracle():
    """An oracle that is its own only one has no distance to another; the rest of the page does without it."""
    assert "To one oracle at a time" not in said(executed("audit", {"oracles": "oracle-1"}))


@pytest.mark.parametrize(
    "wrong, said", [({"leave_out": "trutle"}, "Did you mean 'turtle'"), ({"held_out": 1.5}, "held_out=")]
)
def test_pretraining_refuses_nonsense(wrong, said):
    with pytest.raises(ValueError, match=said):
        executed("pretrain_emoji", wrong, "check_parameters(globals())")
