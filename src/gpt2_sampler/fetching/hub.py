"""hf:OWNER/NAME[@REVISION] -> the files that a Hugging Face hub has under it, and where from.

Knows the hub's interface, not how files are fetched or what is in them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching.client import Client, Network, SourceError
from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.registry import HUB

ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
VOCABULARY = (
    *("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to fetch into models/FOLDER, from SOURCE/NAME; network has the token."""

    folder: str
    files: Sequence[FileSpec]
    source: str
    network: Network


def plan(name: str, base_urls: Sequence[str], network: Network) -> Plan:
    """Asks the hub, the first of the base URLs that answers, what there is.

    Without base URLs it is that of the environment, or Hugging Face's. Raises UsageError for a
    name that cannot be, DownloadError where there is no such model or none that can be opened.
    """
    matched = re.fullmatch(rf"{HUB}(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w.-]*))?", name)
    if not matched:
        raise UsageError(
            f"a model of a hub is written {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION, not {name!r}"
        )
    model, revision = matched[1], matched[2] or "main"
    token = next((os.environ[v] for v in TOKEN_VARIABLES if os.environ.get(v)), None)
    if token:
        network = dataclasses.replace(
            network, headers={**network.headers, "Authorization": f"Bearer {token}"}
        )
    bases = base_urls or [os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT]
    problems = []
    for base in bases:
        address = f"{base.rstrip('/')}/api/models/{model}/revision/{quote(revision)}?blobs=true"
        try:
            answer = ask(Client(network), address)
        except SourceError as error:
            problems.append(str(error))
            continue
        commit = str(answer.get("sha") or revision)
        source = f"{base.rstrip('/')}/{model}/resolve/{quote(commit)}"
        return Plan(name.removeprefix(HUB), files_of(answer, model), source, network)
    hint = "" if token else f"; for one that is private or gated set {TOKEN_VARIABLES[0]}"
    raise DownloadError(
        f"{'; '.join(problems)}. Look at the spelling of {model}{hint}; for a mirror add "
        f"--base_url URL or set {ENDPOINT_VARIABLE}"
    )


def ask(client: Client, address: str) -> Mapping[str, Any]:
    """Raises SourceError."""

    def content() -> bytes:
        with client.get(address) as response:
            return response.content

    try:
        answer = json.loads(client.persist(content, address))
    except (ValueError, RecursionError):
        raise SourceError(f"{address} answers no JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("siblings"), list):
        raise SourceError(f"{address} does not answer as a hub does")
    return answer


def files_of(answer: Mapping[str, Any], model: str) -> list[FileSpec]:
    """Those that sampling needs. Raises DownloadError where one is not there."""
    config = answer.get("config")
    kind = config.get("model_type", "gpt2") if isinstance(config, dict) else "gpt2"
    if kind != "gpt2":
        raise DownloadError(f"{model} is a {kind!r:.40}, not a gpt2, and cannot be sampled from")
    entries = [entry for entry in answer["siblings"] if isinstance(entry, dict)]
    there = {
        entry["rfilename"]: entry for entry in entries if isinstance(entry.get("rfilename"), str)
    }
    if WEIGHTS in there:
        weights = [WEIGHTS]
    else:
        weights = [name for name in there if name == INDEX or SHARD.fullmatch(name)]
    if INDEX in weights or WEIGHTS in weights:
        wanted = [CONFIG, *(name for name in VOCABULARY if name in there), *sorted(weights)]
        return [FileSpec(name, versions(there.get(name, {}))) for name in wanted]
    others = [name for name in there if name.endswith((".bin", ".h5", ".msgpack", ".gguf"))]
    has = f"only {others[0]}, which is never opened here" if others else "no weights"
    raise DownloadError(
        f"{model} has no {WEIGHTS}, {has}; convert it with transformers' save_pretrained, or look "
        f"for a revision that has it: {HUB}{model}@REVISION"
    )


def versions(entry: Mapping[str, Any]) -> tuple[Version, ...]:
    """The size, and the SHA-256 that a hub has for large files."""
    large, length = entry.get("lfs"), entry.get("size")
    if isinstance(large, dict) and isinstance(large.get("sha256"), str):
        length = large.get("size", length)
        return (Version(length, large["sha256"]),) if type(length) is int else ()
    return (Version(length),) if type(length) is int else ()
