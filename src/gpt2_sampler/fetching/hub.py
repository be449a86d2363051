"""hf:OWNER/NAME[@REVISION] -> the model's files on a Hugging Face hub, and where to fetch them.

Knows the hub's interface, but not how files are fetched or what is in them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from gpt2_sampler.errors import DownloadError, UsageError, brief
from gpt2_sampler.fetching.address import below, hide_secrets, origin
from gpt2_sampler.fetching.body import read_body
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.fetching.trouble import SourceError, Trouble
from gpt2_sampler.registry import HUB
from gpt2_sampler.tokenizer.load import GENERATION_NAME, SENTENCEPIECE, VOCABULARY_FILES
from gpt2_sampler.weights.huggingface import CONFIG_NAME, INDEX_END, WEIGHTS_NAMES

ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
LONGEST = 200  # characters of a name, which becomes a folder's; a hub allows 96 for each part
MOST = 16 << 20  # bytes of an answer, which would be one about thousands of files
MOST_FILES = 200
SLOW = 120  # seconds for an answer, which a server may send byte by byte
USEFUL = (*VOCABULARY_FILES, GENERATION_NAME)
REVISION = r"\w[\w.-]*(?:/\w[\w.-]*)*"
"""A branch, a tag, a commit, or refs/pr/1."""


@dataclasses.dataclass(frozen=True)
class FetchPlan:
    """What to fetch into models/FOLDER from SOURCE/NAME. network has the token for the hub."""

    folder: str
    files: Sequence[FileSpec]
    source: str
    network: Network


def plan(
    name: str,
    base_urls: Sequence[str],
    network: Network,
    notice: Callable[[str], object] = lambda line: None,
) -> FetchPlan:
    """Asks the first of the base URLs that answers for the model's files.

    Without base URLs, asks the hub that the environment names, or Hugging Face's. Raises UsageError
    for an impossible name, DownloadError if there is no such model or none that can be read here.
    """
    matched = re.fullmatch(rf"{HUB}(\w[\w.-]*/\w[\w.-]*)(?:@({REVISION}))?", name)
    if not matched or len(name) > LONGEST:
        raise UsageError(
            f"a model of a hub is written {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION, "
            f"not {name!r:.80}"
        )
    model, revision = matched[1], matched[2] or "main"
    hub, token = endpoint(), access_token()
    if token:
        network = dataclasses.replace(network, tokens={**network.tokens, origin(hub): token})
    bases = base_urls or [hub]
    errors = []
    for base in bases:
        owned = model.split("/")
        listing = below(base, "api", "models", *owned, "revision", revision, query="blobs=true")
        try:
            answer = ask(Client(network, notice), listing)
        except SourceError as error:
            errors.append(error)
            continue
        source = below(base, *owned, "resolve", commit_of(answer) or revision)
        return FetchPlan(name.removeprefix(HUB), files_of(answer, model), source, network)
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
            f"{ENDPOINT_VARIABLE} is {hide_secrets(address)!r}, not the address of a hub like "
            f"{ENDPOINT}"
        ) from None
    return address


def access_token() -> str | None:
    """The token, if there is one. Raises UsageError, without showing it, if it cannot be one."""
    for variable in TOKEN_VARIABLES:
        if token := os.environ.get(variable, "").strip():
            if not re.fullmatch(r"[!-~]+", token):
                raise UsageError(f"{variable} contains more than letters, digits and punctuation")
            return token
    return None


def way_in(bases: Sequence[str], hub: str, token: str | None) -> str:
    """What may help if the hub wants to know who is asking."""
    if token is None:
        return f"or for one that is private or gated set {TOKEN_VARIABLES[0]}"
    if origin(hub) not in map(origin, bases):
        return f"and set {ENDPOINT_VARIABLE}: the token goes to {hide_secrets(hub)} only"
    return f"and whether the owner of {TOKEN_VARIABLES[0]} has been let in on the model's page"


def commit_of(answer: Mapping[str, Any]) -> str | None:
    commit = answer.get("sha")
    return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{1,64}", commit) else None


def ask(client: Client, listing: str) -> Mapping[str, Any]:
    """Raises SourceError."""

    def content() -> bytes:
        text, until = bytearray(), time.monotonic() + SLOW
        with client.get(listing) as response:
            for data in read_body(response, client.network.timeout, decode=True):
                text += data
                if len(text) > MOST:
                    raise SourceError(f"{hide_secrets(listing)} answers more than {MOST:,} bytes")
                if time.monotonic() > until:
                    raise SourceError(
                        f"{hide_secrets(listing)} takes more than {SLOW} s to answer",
                        Trouble.UNREACHABLE,
                    )
        return bytes(text)

    text = client.persist(content, listing)
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(f"{hide_secrets(listing)} does not answer in JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("siblings"), list):
        raise SourceError(f"{hide_secrets(listing)} does not answer as a hub does")
    return answer


def files_of(answer: Mapping[str, Any], model: str) -> list[FileSpec]:
    """The files that sampling needs. Raises DownloadError if one is missing."""
    config = answer.get("config")
    kind = config.get("model_type", "gpt2") if isinstance(config, dict) else "gpt2"
    if kind != "gpt2":
        raise DownloadError(f"{model} is a {brief(kind)}, not a gpt2, and cannot be sampled from")
    entries = [entry for entry in answer["siblings"] if isinstance(entry, dict)]
    there = {
        entry["rfilename"]: entry for entry in entries if isinstance(entry.get("rfilename"), str)
    }
    if weights := weights_of(there):
        vocabulary = [
            name
            for name in there
            if name in USEFUL or (fnmatch(name, SENTENCEPIECE) and re.fullmatch(r"\w[\w.-]*", name))
        ]
        wanted = [CONFIG_NAME, *vocabulary, *weights]
        if len(wanted) > MOST_FILES:
            raise DownloadError(f"{model} has {len(wanted)} files to fetch; no gpt2 has so many")
        return [
            FileSpec(name, versions(there.get(name, {})), large=name in weights) for name in wanted
        ]
    others = [name for name in there if name.endswith((".msgpack", ".gguf", ".onnx", ".ot"))]
    raise DownloadError(
        f"{model} has {f'only {others[0]}' if others else 'no weights'}, none of "
        f"{', '.join(WEIGHTS_NAMES)}; look for a revision that has one: {HUB}{model}@REVISION"
    )


def weights_of(names: Iterable[str]) -> list[str]:
    """The files of the first kind of weights there is: one file, or an index and its shards."""
    for whole in WEIGHTS_NAMES:
        if whole in names:
            return [whole]
        if f"{whole}{INDEX_END}" in names:
            stem, _, end = whole.rpartition(".")
            shard = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{end}")
            return sorted([f"{whole}{INDEX_END}", *filter(shard.fullmatch, names)])
    return []


def versions(entry: Mapping[str, Any]) -> tuple[Version, ...]:
    """The file's size and, for large files, the SHA-256 that the hub has."""
    large, size = entry.get("lfs"), entry.get("size")
    sha256 = large.get("sha256") if isinstance(large, dict) else None
    if isinstance(large, dict) and isinstance(sha256, str):
        size = large.get("size", size)
    if type(size) is not int or size < 0:
        return ()
    return (Version(size, sha256 if isinstance(sha256, str) else None),)
