"""What all tests share: a folder for results that is not the user's, the site and a short run, each made once; the order of the files; what the tests cost."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# Whatever a test starts writes its results here (core/files.results_folder), also where it is started by pytest alone.
# `make test` names the folder that its pages wrote to; else pytest makes one, which pytest-xdist's workers share.
MADE = "CLIPFORGET_TESTED" not in os.environ
if MADE:
    os.environ["CLIPFORGET_TESTED"] = tempfile.mkdtemp(prefix="clipforget-results-")
os.environ["CLIPFORGET_RESULTS"] = os.environ["CLIPFORGET_TESTED"]

ROOT = Path(__file__).resolve().parents[1]
# The longest first, so that no worker sits idle at the end (with pytest-xdist's --no-loadscope-reorder).
LONGEST = (
    *("test_experiments.py", "test_whole_run.py", "test_site.py", "test_command_line.py", "test_browser.py"),
    *("test_same_edits.py", "test_imagenet.py", "test_photos.py", "test_backbones.py"),
    *("test_packaging.py", "test_notebooks.py", "test_own_data.py"),
)
SPENT: Counter[str] = Counter()  # seconds of processor time by test, in the process that prints them
OTHERS: list[float] = []  # of pytest-xdist's workers, all in all


def pytest_unconfigure():
    if MADE:
        shutil.rmtree(os.environ["CLIPFORGET_TESTED"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def processor_time(children: bool = True) -> float:
    """Seconds that this process, and the children that it has waited for, have worked so far, user and system."""
    return sum(os.times()[: 4 if children else 2])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    item.config.began = processor_time()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    now = processor_time()
    report.processor = now - item.config.began  # of this phase: the report goes to the printing process
    item.config.began = now
    return report


def pytest_runtest_logreport(report):
    SPENT[report.nodeid] += report.processor


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["processor"] = processor_time()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    OTHERS.append(getattr(node, "workeroutput", {}).get("processor", 0.0))


def pages_took() -> float:
    """Seconds of processor time of what `make` ran before the tests, as the shell's `times` says in its second line: 3m20.5s 0m7.1s."""
    file = Path(os.environ["CLIPFORGET_TESTED"]) / "times"
    words = file.read_text().splitlines()[1].split() if file.exists() else []
    return sum(60 * float(m) + float(s.rstrip("s")) for m, s in (word.split("m") for word in words))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("processor time, user and system, with all children")
    for test, seconds in SPENT.most_common(10):
        terminalreporter.line(f"{seconds:7.1f} s  {test}")
    tests, pages = sum(OTHERS) + processor_time(children=not OTHERS), pages_took()
    total = f"{tests:.0f} s for the tests, {pages:.0f} s for the pages before them"
    terminalreporter.line(f"{(tests + pages) / 60:.1f} minutes in all: {total}")


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """`once(name, make)`: a folder that `make(folder)` has filled. pytest-xdist's workers share it: the first to ask fills it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        done = shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(shared / name)
                done.touch()
        return shared / name

    return folder


@pytest.fixture(scope="session")
def html(once):
    """The folder of a freshly built site."""

    def build(out: Path) -> None:
        words = [sys.executable, str(ROOT / "docs" / "build.py"), "--out", str(out)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    return once("site", build) / "html"
