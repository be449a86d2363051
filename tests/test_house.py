"""The order of the house: names that stand once, rooms of a dozen, a test file for each module."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.checkpoints import ROOT
from tests.test_packaging import FILES

MODULES = {name for name, path in FILES.items() if path.name != "__init__.py"}
TWINS = {
    "engine": "what an engine is, and in each engine's own room the engine",
    "load": "in its room what finds the right kind and loads it: an engine, a tokenizer",
}
"""Names that several modules may have, because they do the same for different things."""
TESTED_THROUGH = {
    "__main__": "cli.commands.start",
    "cli.commands.conversion": "convert",
    "cli.commands.download": "fetching.fetch_model",
    "cli.commands.figures": "cli.commands.scoring",
    "cli.commands.inventory": "fetching.fetch_model",
    "cli.commands.sample_sets": "cli.commands.conditional",
    "cli.flags.corpus_settings": "cli.commands.conditional",
    "cli.flags.fields": "cli.flags.parser",
    "cli.flags.score_settings": "cli.commands.scoring",
    "cli.flags.words": "cli.flags.parser",
    "cli.session.keys": "cli.commands.interactive",
    "cli.session.typeahead": "cli.commands.interactive",
    "cli.session.writer": "cli.session.session",
    "corpus.crew": "corpus.cluster",
    "decoding.plain": "decoding.sampling",
    "decoding.reading": "decoding.batch",
    "engines.litert.flatbuffer": "engines.litert.graph",
    "fetching.body": "fetching.fetch_file",
    "fetching.checks": "fetching.fetch_model",
    "fetching.credentials": "fetching.client",
    "fetching.failure": "fetching.client",
    "fetching.fetch_folder": "fetching.fetch_model",
    "fetching.filespec": "fetching.fetch_file",
    "fetching.import_folder": "fetching.fetch_model",
    "fetching.remote": "fetching.client",
    "fetching.trouble": "fetching.client",
    "seeing.score_data": "seeing.score_page",
    "seeing.scored": "seeing.compare",
    "tokenizer.characters": "weights.nanogpt",
    "weights.named": "weights.huggingface",
}
"""Modules without a test file of their own -> the module whose tests are theirs as well."""


def test_no_two_classes_of_the_package_share_a_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_two_modules_or_rooms_share_a_name_by_which_one_could_be_taken_for_the_other() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module in FILES:
        *_, room, name = ("", *module.split("."))
        if name != room:  # a room's main module may have its name
            homes[name].append(module)
    assert {name for name, where in homes.items() if len(where) > 1} == TWINS.keys()


def test_a_room_has_a_dozen_modules_or_a_few_more() -> None:
    rooms: dict[str, int] = defaultdict(int)
    for module in MODULES:
        rooms[module.rpartition(".")[0]] += 1
    assert {room: n for room, n in rooms.items() if room.startswith("cli") and n > 12} == {}
    assert max(rooms.values()) <= 20


def test_every_module_has_a_test_file_of_its_name_or_is_tested_through_another() -> None:
    tested = {name for name in MODULES if own_tests(name).is_file()}
    assert MODULES - tested == TESTED_THROUGH.keys()
    assert {*TESTED_THROUGH.values()} <= tested
    assert len(TESTED_THROUGH) <= 31


def own_tests(name: str) -> Path:
    path = Path(*name.split("."))
    return ROOT / "tests" / path.with_name(f"test_{path.name}.py")


PARTICIPLE = re.compile(r"_?(?!signed|embed|unembed)[a-z]*[^e]ed|_?(shown|written|drawn|told|kept)")


def test_functions_are_verbs_and_nouns_not_participles() -> None:
    for module, path in FILES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        found = [name for name in names if PARTICIPLE.fullmatch(name)]
        assert not found, module
