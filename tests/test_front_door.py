"""What `import clipforget as cf` offers: every name is documented for `help` and editors, typed without holes, and answers a misspelt keyword with the nearest right one."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clipforget as cf

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = [name for name in cf.__all__ if inspect.isfunction(getattr(cf, name))]
METHODS = ["evaluate", "verdict", "report", "save", "save_patch", "load"]
CALLABLE = {**{name: getattr(cf, name) for name in FUNCTIONS}, **{f"Edit.{m}": getattr(cf.Edit, m) for m in METHODS}}
SECTION = r"(?m)^ *{}\n *-{{{}}}$"


@pytest.mark.parametrize("name", CALLABLE)
def test_documented(name):
    function, text = CALLABLE[name], inspect.cleandoc(CALLABLE[name].__doc__)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
    for section in ["Parameters"] * bool(parameters) + ["Returns"]:
        assert re.search(SECTION.format(section, len(section)), text), f"{name} has no section {section}"
    told = re.findall(r"(?m)^\*{0,2}(\w+(?:, \w+)*) : ", text)
    assert {p.name for p in parameters} == {one for line in told for one in line.split(", ")}


@pytest.mark.parametrize("name", CALLABLE)
def test_typed(name):
    signature, source = inspect.signature(CALLABLE[name]), inspect.getsource(inspect.unwrap(CALLABLE[name]))
    assert signature.return_annotation is not signature.empty
    assert all(p.annotation is not p.empty for p in signature.parameters.values() if p.name not in ("self", "cls"))
    assert not re.search(r"\bAny\b", source[: source.index('"""')])
    assert not [p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    assert len(signature.parameters) <= 8


@pytest.mark.parametrize(
    "name", [n for n in FUNCTIONS if n != "apply_patch" and inspect.signature(CALLABLE[n]).parameters]
)
def test_misspelt_keyword(name):
    keyword = list(inspect.signature(getattr(cf, name)).parameters)[-1]
    with pytest.raises(TypeError, match=f"Did you mean .*{keyword!r}"):
        getattr(cf, name)(**{f"{keyword}x": None})


def test_settings_misspelt():
    with pytest.raises(TypeError, match="Did you mean 'rank'"):
        cf.Settings(rnak=4)


def test_strict(tmp_path):
    """An editor of somebody who checks types strictly sees what the front door takes and returns."""
    uses = ["import clipforget as cf", "clip = cf.load_clip()", 'task = cf.emoji_task(clip, target="turtle")']
    uses += ["edit = cf.forget(clip, task, cf.Settings(rank=4))", 'edit.save("x").exists()', "edit.evaluate().index"]
    uses += [
        "words: str = edit.verdict()",
        'again: cf.Edit = cf.Edit.load("x", clip)',
        'cf.apply_patch(clip, "p").size',
    ]
    uses += ['names: list[str] = cf.list_methods("*LoRA*") + cf.list_datasets()']
    (tmp_path / "uses.py").write_text("\n".join(uses) + "\n")
    words = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--follow-imports=silent"]
    done = subprocess.run([*words, str(tmp_path / "uses.py")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
