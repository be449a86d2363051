"""gpt2-serve as a person starts and ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpt2_sampler.cli.commands.serve import serve_completions
from gpt2_sampler.errors import SamplerError
from tests.checkpoints import ROOT

SCRIPT = str(ROOT / "src" / "serve_completions.py")


@pytest.fixture(scope="module")
def openai() -> Any:
    """Takes longer to import than most tests to run, so only one process does."""
    return pytest.importorskip("openai")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, SCRIPT, "--model_name", "demo", "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as own:
        assert own.stderr is not None
        found = re.match(
            r"(http://127.0.0.1:\d+) serves demo; Ctrl-C ends it\n", own.stderr.readline()
        )
        assert found
        yield own, found[1]
        own.kill()


def test_openais_client_gets_the_texts_of_the_command(
    openai: Any, server: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    client = openai.OpenAI(base_url=f"{server[1]}/v1", api_key="any")
    asked = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 30, "seed": 7}
    whole = client.completions.create(**asked, n=2, temperature=0.7, extra_body={"top_k": 40})
    streamed = client.completions.create(
        **asked, temperature=0.7, extra_body={"top_k": 40}, stream=True
    )
    assert "".join(event.choices[0].text for event in streamed) == whole.choices[0].text
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Once upon a time\n")
    flags = "--model_name demo --nsamples 2 --length 30 --seed 7 --temperature 0.7 --top_k 40"
    output = tmp_path / "out.jsonl"
    command = [sys.executable, str(ROOT / "src/generate_conditional_samples.py"), str(prompts)]
    subprocess.run([*command, *flags.split(), "--output", str(output)], check=True)
    written = [json.loads(line)["text"] for line in output.read_text().splitlines()]
    assert [choice.text for choice in whole.choices] == written


def test_openais_client_is_told_what_was_wrong(
    openai: Any,
    server: tuple[subprocess.Popen[str], str],
) -> None:
    client = openai.OpenAI(base_url=f"{server[1]}/v1", api_key="any")
    with pytest.raises(openai.BadRequestError, match="temperature must be 0 or more"):
        client.completions.create(model="demo", prompt="x", temperature=-1)
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.completions.create(model="gpt-5", prompt="x")


def test_ctrl_c_ends_it_within_seconds_and_without_a_word(
    openai: Any,
    server: tuple[subprocess.Popen[str], str],
) -> None:
    own, url = server
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any")
    events = client.completions.create(
        model="demo",
        prompt="Once",
        max_tokens=100_000,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(iter(events))
    began = time.monotonic()
    own.send_signal(signal.SIGINT)
    with pytest.raises(openai.APIError):
        list(events)
    assert own.wait(5) in (-signal.SIGINT, 130) and time.monotonic() - began < 4
    assert own.stderr is not None and own.stderr.read() == ""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--host", "0.0.0.0"], "give a key with --api_key"),
        (["--port", "70000"], "--port must be at most 65535"),
        (["--host", "no.such.host.invalid", "--api_key", "x"], "there is no address"),
        (["--rows", "-1"], "--rows must be 0 or more"),
    ],
)
def test_a_mistake_is_one_line(flags: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *flags], capture_output=True, text=True, check=False
    )
    [line] = done.stderr.splitlines()
    assert done.returncode == 2 and said in line


def test_a_taken_port_is_said_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, SCRIPT, "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "choose another --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_key_may_come_from_the_environment() -> None:
    environment = {**os.environ, "GPT2_SAMPLER_API_KEY": "k"}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--host", "no.such.host.invalid"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert "there is no address" in done.stderr


@pytest.mark.parametrize(
    ("package", "flags"), [("uvicorn", []), ("prometheus_client", ["--metrics"])]
)
def test_a_package_that_it_lacks_is_named_as_it_is_installed(
    package: str, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SamplerError, match="which is not installed") as error:
        serve_completions([*flags, "--port", "0"], "gpt2-serve")
    assert error.value.facts == {"package": package}
