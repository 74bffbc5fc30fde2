"""`make lab` as a reader meets it: JupyterLab opens, and knows the kernel that the notebooks ask for."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture()
def address(tmp_path):
    """Where a JupyterLab of its own answers, without a token."""
    log = tmp_path / "lab.log"
    given = "LAB_ARGS=--no-browser --allow-root --port=0 --IdentityProvider.token="
    command = ["make", "--no-print-directory", "lab", given]
    with log.open("w") as out:
        pipes = {"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL}
        lab = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
    try:
        deadline = time.time() + 120
        while not (found := re.search(r"http://(localhost|127\.0\.0\.1):(\d+)/lab", log.read_text())):
            assert time.time() < deadline and lab.poll() is None, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{found.group(2)}"
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(timeout=60)


def answer(url):
    """What is behind an address, which it says a moment before it listens."""
    for wait in (0.5,) * 19 + (None,):
        try:
            return urlopen(url, timeout=60).read().decode()
        except URLError:
            if wait is None:
                raise
            time.sleep(wait)


def test_lab_opens_with_the_projects_kernel(address):
    assert "JupyterLab" in answer(f"{address}/lab/tree/index.ipynb")
    known = json.loads(answer(f"{address}/api/kernelspecs"))["kernelspecs"]
    assert {"python3", "clipforget"} <= set(known)  # the first is what every page names (test_notebooks.py)
