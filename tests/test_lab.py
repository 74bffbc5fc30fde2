"""`make lab` as a reader meets it: JupyterLab opens, knows the kernel, and a notebook's kernel stands in nbs/ with the package at hand."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from websocket import create_connection

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where a JupyterLab of its own answers, without a token."""
    log = tmp_path_factory.mktemp("lab") / "lab.log"
    given = "LAB_ARGS=--no-browser --allow-root --port=0 --IdentityProvider.token= --ServerApp.disable_check_xsrf=True"
    with log.open("w") as out:
        lab = subprocess.Popen(
            ["make", "--no-print-directory", "lab", given],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        deadline = time.time() + 120
        while not (found := re.search(r"http://(localhost|127\.0\.0\.1):(\d+)/lab", log.read_text())):
            assert time.time() < deadline and lab.poll() is None, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{found.group(2)}"
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(timeout=60)


def answer(url, **posted):
    """The JSON behind an address; what is posted is sent as JSON."""
    body = json.dumps(posted).encode() if posted else None
    for attempt in range(20):
        try:
            with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=60) as reply:
                return json.load(reply)
        except URLError:  # it says its address a moment before it listens
            if attempt == 19:
                raise
            time.sleep(0.5)


def said(address, kernel, code):
    """What a kernel prints for some code."""
    channel = create_connection(f"ws{address[4:]}/api/kernels/{kernel}/channels", timeout=120)
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": "",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps(message))
    text = ""
    while True:
        reply = json.loads(channel.recv())
        if reply["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        text += reply["content"].get("text", "") + "".join(reply["content"].get("traceback", []))
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            channel.close()
            return text


def test_lab_opens_with_the_projects_kernel(address):
    with urlopen(f"{address}/lab/tree/index.ipynb", timeout=60) as page:
        assert page.status == 200 and "JupyterLab" in page.read().decode()
    assert "clipforget" in answer(f"{address}/api/kernelspecs")["kernelspecs"]


def test_a_notebook_stands_in_its_folder_and_finds_the_package(address):
    page = "nbs/judging/verdict.ipynb"
    wanted = json.loads((ROOT / page).read_text())["metadata"]["kernelspec"]["name"]
    assert wanted in answer(f"{address}/api/kernelspecs")["kernelspecs"]
    session = answer(
        f"{address}/api/sessions", path=page, name="verdict.ipynb", type="notebook", kernel={"name": wanted}
    )
    printed = said(
        address,
        session["kernel"]["id"],
        "import os, sys, clipforget.core.files as core\nprint(os.getcwd(), sys.prefix, core.project_root(), sep='\\n')",
    )
    assert printed.split() == [str(ROOT / "nbs" / "judging"), sys.prefix, str(ROOT)]
