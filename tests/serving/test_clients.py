"""Programs that people have, unmodified, against a server that serves the bundled model."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_sampler import continue_text, load_engine, load_tokenizer, score
from tests.checkpoints import ROOT

PROMPT = "Once upon a time"
LENGTH = 12
NODE_OPENAI = ROOT / "node_modules" / "openai"


def needs(module: str) -> pytest.MarkDecorator:
    found = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not found, reason=f"needs {module}")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    script = str(ROOT / "src" / "serve_completions.py")
    command = [sys.executable, script, "--model_name", "demo", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.match(r"(http://\S+) serves demo", server.stderr.readline())
        assert found
        yield f"{found[1]}/v1"
        server.kill()


@pytest.fixture(scope="module")
def text() -> str:
    """What the Python API writes: every client gets this one."""
    engine, tokenizer = load_engine("demo"), load_tokenizer("demo")
    pieces = continue_text(engine, tokenizer, PROMPT, length=LENGTH, seed=7)
    return "".join(piece.characters for piece in pieces)


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("llm")
@pytest.mark.parametrize("stream", [True, False])
def test_llm_completes(url: str, text: str, tmp_path: Path, stream: bool) -> None:
    known = f"- {{model_id: demo, model_name: demo, api_base: {url}, completion: true}}\n"
    (tmp_path / "extra-openai-models.yaml").write_text(known)
    options = ["-o", "seed", "7", "-o", "max_tokens", str(LENGTH), *["--no-stream"][stream:]]
    found = run(
        sys.executable, "-m", "llm", "-m", "demo", PROMPT, *options,
        LLM_USER_PATH=str(tmp_path), OPENAI_API_KEY="any",
    )  # fmt: skip
    assert found == text + "\n"


def test_litellm_completes(url: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "LITELLM_LOCAL_MODEL_COST_MAP", "True"
    )  # or it asks for one over the network
    litellm = pytest.importorskip("litellm")

    asked: dict[str, Any] = {"model": "text-completion-openai/demo", "api_base": url}
    asked |= {"api_key": "any", "max_tokens": LENGTH, "seed": 7}
    whole = litellm.text_completion(**asked, prompt=[PROMPT, "Then"], logit_bias={}, logprobs=1)
    assert whole.choices[0].text == text and whole.usage.completion_tokens == 2 * LENGTH
    assert len(whole.choices[0].logprobs.tokens) == LENGTH
    events = list(litellm.text_completion(**asked, prompt=PROMPT, stream=True))
    assert "".join(event.choices[0].text or "" for event in events) == text


def test_langchain_completes(url: str, text: str) -> None:
    model = pytest.importorskip("langchain_openai").OpenAI(
        model="demo", base_url=url, api_key="any", max_tokens=LENGTH, seed=7, temperature=1
    )
    found = model.generate([PROMPT, "Then"])
    assert found.generations[0][0].text == text
    assert found.llm_output["token_usage"]["completion_tokens"] == 2 * LENGTH
    assert "".join(model.stream(PROMPT)) == text


@pytest.mark.skipif(
    not (shutil.which("node") and NODE_OPENAI.exists()), reason="needs node and npm's openai"
)
def test_openais_client_for_node_completes(url: str, text: str) -> None:
    asked = {"model": "demo", "prompt": PROMPT, "max_tokens": LENGTH, "seed": 7}
    program = f"""
        const {{ OpenAI }} = require({json.dumps(str(NODE_OPENAI))});
        const client = new OpenAI({{baseURL: {json.dumps(url)}, apiKey: "any", maxRetries: 0}});
        (async () => {{
            const whole = await client.completions.create({json.dumps(asked)});
            let streamed = "";
            const options = {{stream: true, stream_options: {{include_usage: true}}}};
            const events = {{...{json.dumps(asked)}, ...options}};
            for await (const event of await client.completions.create(events))
                streamed += event.choices[0]?.text ?? "";
            const refused = await client.completions.create({{model: "other", prompt: ""}})
                .catch((error) => error);
            console.log(JSON.stringify([whole.choices[0].text, streamed, refused.status]));
        }})();
    """
    assert json.loads(run("node", "-e", program)) == [text, text, 404]


@needs("lm_eval")
def test_lm_eval_finds_the_log_likelihoods_of_score(url: str, tmp_path: Path) -> None:
    pairs = [
        ("Once upon a time there was", " a king"),
        ("The man said", ": Go away! é"),
        ("", "It"),
    ]
    rows = [{"question": q, "answer": a, "whole": q + a} for q, a in pairs]
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    data = f"dataset_path: json\ndataset_kwargs: {{data_files: {tmp_path / 'rows.json'}}}\n"
    common = f"{data}test_split: train\n"
    (tmp_path / "likely.yaml").write_text(
        f"task: likely\n{common}output_type: loglikelihood\ndoc_to_text: '{{{{question}}}}'\n"
        "doc_to_target: '{{answer}}'\ntarget_delimiter: ''\n"
        "metric_list: [{metric: perplexity, aggregation: perplexity}]\n"
    )
    (tmp_path / "rolling.yaml").write_text(
        f"task: rolling\n{common}output_type: loglikelihood_rolling\ndoc_to_text: ''\n"
        "doc_to_target: '{{whole}}'\n"
        "metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte}]\n"
    )
    run(
        sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args",
        f"model=demo,base_url={url}/completions,tokenizer_backend=remote,tokenized_requests=True",
        "--tasks", "likely,rolling", "--include_path", str(tmp_path), "--log_samples",
        "--output_path", str(tmp_path / "out"), HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1",
    )  # fmt: skip
    engine, tokenizer = load_engine("demo"), load_tokenizer("demo")
    end = tokenizer.end_of_text
    assert end is not None
    for row in read_samples(tmp_path, "likely"):
        before = tokenizer.encode(row["doc"]["question"]) or [end]
        logprobs = score(engine, [*before, *tokenizer.encode(row["doc"]["answer"])])
        [[found, _]] = row["filtered_resps"]
        assert float(found) == pytest.approx(np.sum(logprobs[len(before) - 1 :]), abs=1e-4)
    for row in read_samples(tmp_path, "rolling"):
        logprobs = score(engine, [end, *tokenizer.encode(row["doc"]["whole"])])
        assert float(row["filtered_resps"][0]) == pytest.approx(np.sum(logprobs), abs=1e-4)


def read_samples(folder: Path, task: str) -> list[dict[str, Any]]:
    [path] = (folder / "out").rglob(f"samples_{task}_*.jsonl")
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(found) == 3
    return found
