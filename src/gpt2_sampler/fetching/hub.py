"""hf:OWNER/NAME[@REVISION] -> the files that a Hugging Face hub has under it, and where from.

Knows the hub's interface, not how files are fetched or what is in them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching.address import below, origin, shown
from gpt2_sampler.fetching.client import Client, Network, SourceError, Trouble
from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.registry import HUB
from gpt2_sampler.tokenizer.load import VOCABULARY_FILES
from gpt2_sampler.weights.huggingface import CONFIG_NAME, INDEX_NAME, WEIGHTS_NAME

ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
MOST = 16 << 20  # bytes of an answer; a model with thousands of files has one
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to fetch into models/FOLDER, from SOURCE/NAME; network has the token for the hub."""

    folder: str
    files: Sequence[FileSpec]
    source: str
    network: Network


def plan(
    name: str,
    base_urls: Sequence[str],
    network: Network,
    notice: Callable[[str], object] = lambda line: None,
) -> Plan:
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
    hub, token = endpoint(), access_token()
    if token:
        network = dataclasses.replace(network, tokens={**network.tokens, origin(hub): token})
    bases = base_urls or [hub]
    errors = []
    for base in bases:
        listing = below(base, "api", "models", model, "revision", revision, query="blobs=true")
        try:
            answer = ask(Client(network, notice), listing)
        except SourceError as error:
            errors.append(error)
            continue
        source = below(base, model, "resolve", commit_of(answer) or revision)
        return Plan(name.removeprefix(HUB), files_of(answer, model), source, network)
    remedies = {
        Trouble.MISSING: f"; look at the spelling of {model}",
        Trouble.DENIED: f"; look at the spelling of {model}, {way_in(bases, hub, token)}",
        Trouble.WRONG: f"; a hub is named by {ENDPOINT_VARIABLE}",
        Trouble.UNREACHABLE: f"; try again later, or set {ENDPOINT_VARIABLE} to a mirror",
    }
    remedy = remedies.get(max(error.trouble for error in errors), "")
    raise DownloadError("; ".join(map(str, errors)) + remedy)


def endpoint() -> str:
    """The address of the hub. Raises UsageError."""
    address = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
    try:
        origin(address)
    except ValueError:
        raise UsageError(
            f"{ENDPOINT_VARIABLE} is {shown(address)!r}, not the address of a hub as {ENDPOINT}"
        ) from None
    return address


def access_token() -> str | None:
    """Raises UsageError for what cannot be one, without showing it."""
    for variable in TOKEN_VARIABLES:
        if token := os.environ.get(variable, "").strip():
            if not re.fullmatch(r"[!-~]+", token):
                raise UsageError(f"{variable} holds more than letters, digits and signs")
            return token
    return None


def way_in(bases: Sequence[str], hub: str, token: str | None) -> str:
    """What may help where the hub wants to know who asks."""
    if token is None:
        return f"or for one that is private or gated set {TOKEN_VARIABLES[0]}"
    if origin(hub) not in map(origin, bases):
        return f"and set {ENDPOINT_VARIABLE}: the token goes to {shown(hub)} only"
    return f"and whether the owner of {TOKEN_VARIABLES[0]} has been let in on the model's page"


def commit_of(answer: Mapping[str, Any]) -> str | None:
    commit = answer.get("sha")
    return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{1,64}", commit) else None


def ask(client: Client, listing: str) -> Mapping[str, Any]:
    """Raises SourceError."""

    def content() -> bytes:
        with client.get(listing) as response:
            return response.raw.read(MOST + 1, decode_content=True)

    text = client.persist(content, listing)
    if len(text) > MOST:
        raise SourceError(f"{shown(listing)} answers more than {MOST:,} bytes")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(f"{shown(listing)} answers no JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("siblings"), list):
        raise SourceError(f"{shown(listing)} does not answer as a hub does")
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
    if WEIGHTS_NAME in there:
        weights = [WEIGHTS_NAME]
    else:
        weights = [name for name in there if name == INDEX_NAME or SHARD.fullmatch(name)]
    if INDEX_NAME in weights or WEIGHTS_NAME in weights:
        vocabulary = [name for name in VOCABULARY_FILES if name in there]
        wanted = [CONFIG_NAME, *vocabulary, *sorted(weights)]
        return [FileSpec(name, versions(there.get(name, {}))) for name in wanted]
    others = [name for name in there if name.endswith((".bin", ".h5", ".msgpack", ".gguf"))]
    has = f"only {others[0]}, which is never opened here" if others else "no weights"
    raise DownloadError(
        f"{model} has no {WEIGHTS_NAME}, {has}; convert it with transformers' save_pretrained, "
        f"or look for a revision that has it: {HUB}{model}@REVISION"
    )


def versions(entry: Mapping[str, Any]) -> tuple[Version, ...]:
    """The size, and the SHA-256 that a hub has for large files."""
    large, size = entry.get("lfs"), entry.get("size")
    sha256 = large.get("sha256") if isinstance(large, dict) else None
    if isinstance(large, dict) and isinstance(sha256, str):
        size = large.get("size", size)
    if type(size) is not int or size < 0:
        return ()
    return (Version(size, sha256 if isinstance(sha256, str) else None),)
