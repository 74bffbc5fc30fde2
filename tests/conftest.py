"""Order of the test files: the longest first, so that no worker sits idle at the end (run with pytest-xdist's --no-loadscope-reorder); the site, built once for all of them; a folder for results that is not the user's."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

# Whatever a test starts writes its results here (tools/files.results_folder), also where it is started by pytest alone.
# `make test` names the folder that its pages wrote to; else pytest makes one, which pytest-xdist's workers share.
MADE = "CLIPFORGET_TESTED" not in os.environ
if MADE:
    os.environ["CLIPFORGET_TESTED"] = tempfile.mkdtemp(prefix="clipforget-results-")
os.environ["CLIPFORGET_RESULTS"] = os.environ["CLIPFORGET_TESTED"]


def pytest_unconfigure():
    if MADE:
        shutil.rmtree(os.environ["CLIPFORGET_TESTED"], ignore_errors=True)


ROOT = Path(__file__).resolve().parents[1]
LONGEST = (
    "test_experiments.py",
    "test_whole_run.py",
    "test_site.py",
    "test_command_line.py",
    "test_browser.py",
    "test_same_edits.py",
    "test_imagenet.py",
    "test_photos.py",
    "test_sweep.py",
    "test_backbones.py",
    "test_static.py",
    "test_notebooks.py",
    "test_own_data.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The folder of a freshly built site, which pytest-xdist's workers share: the first to ask builds it."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    built = out.with_suffix(".built")
    with FileLock(out.with_suffix(".lock")):
        if not built.exists():
            done = subprocess.run(
                [sys.executable, str(ROOT / "docs" / "build.py"), "--out", str(out)],
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            built.touch()
    return out / "html"
