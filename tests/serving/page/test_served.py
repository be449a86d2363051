"""The page on the real server and the bundled model."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.checkpoints import ROOT
from tests.serving.page.driving import NEEDS_BROWSER, Page
from tests.serving.page.fake import Fake

pytestmark = NEEDS_BROWSER

COMMAND = "import sys; from gpt2_sampler.cli.commands import start; sys.exit(start.{}())"


@pytest.fixture
def served(chromium: Chrome) -> Iterator[Page]:
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model_name", "demo", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format("serve"), *words], stderr=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert server.stderr and b"serves demo" in server.stderr.readline()
        yield Page(chromium, f"http://127.0.0.1:{port}/", Fake()).begin()
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_the_command_that_is_shown_writes_the_same_text(served: Page) -> None:
    served.type("Once upon a time")
    served.press(Keys.CONTROL, Keys.ENTER)
    served.written()
    served.caret(len("Once upon a time") + 1)
    served.wait(lambda: len(served.choices()) >= 10)
    served.click("read")
    served.wait(lambda: any(name.startswith("person") for name in served.highlights()))
    served.click("open-share")
    words = shlex.split(served.button("command").get_attribute("value") or "")
    assert words[0] == "gpt2-interactive"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format("interactive"), *words[1:]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    added = served.text.removeprefix("Once upon a time")
    assert len(added) > 20 and f"\n{added}\n" in done.stdout
    assert served.complaints() == []
