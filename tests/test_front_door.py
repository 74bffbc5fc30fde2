"""What `import clipforget as cf` offers: every name is documented for `help` and editors, typed without holes, and answers a misspelt keyword with the nearest right one."""

import inspect
import re

import pytest

import clipforget as cf

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
