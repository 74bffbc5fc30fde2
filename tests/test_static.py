"""What can be said of the code without running it: ruff finds nothing to correct or to lay out anew, and mypy believes every annotation of the package."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["index.ipynb", *(str(p) for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if not p.is_symlink())]


def check(*words):
    """Run a module of this Python from the root of the repository; it shall have nothing to say against the code."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    check("ruff", "check", "clipforget", "docs", "tests")


def test_pages_name_what_is_there():
    """Undefined names, and imports that nothing uses: pages that take hours are executed by no test."""
    check("ruff", "check", "--select", "F401,F821,F822,F823", *PAGES)


def test_format():
    check("ruff", "format", "--check", "--quiet", "--diff", "docs", "tests", *PAGES)


def test_mypy():
    """Of the package, and strictly of what uses its front door: one run, since each reads all of PyTorch."""
    check("mypy")
