"""What is imported when, in which order modules may know each other, and what a wheel holds."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from gpt2_sampler.registry import DEMO, DEMO_ZH
from tests.checkpoints import ROOT

PACKAGE = ROOT / "src" / "gpt2_sampler"
GENERATE = ROOT / "src" / "generate_unconditional_samples.py"
INTERACTIVE = ROOT / "src" / "interactive_conditional_samples.py"
SCORE = ROOT / "src" / "score_text.py"
CONDITIONAL = ROOT / "src" / "generate_conditional_samples.py"
DOWNLOAD = ROOT / "download_model.py"
HEAVY = {"tensorflow", "keras", "torch", "transformers", "safetensors", "tokenizers"}


TELL = """
import atexit, runpy, sys
atexit.register(lambda path: open(path, "w").write(" ".join(sys.modules)), sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def imported_by(*words: str) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """The top-level modules that were imported when a script, run with these words, ended."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "modules"
        done = subprocess.run(
            [sys.executable, "-c", TELL, str(told), *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            check=False,
        )
        return {name.split(".")[0] for name in told.read_text().split()}, done


def test_importing_the_package_is_cheap(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import gpt2_sampler")
    modules, done = imported_by(str(script))
    assert done.returncode == 0
    assert not modules & (HEAVY | {"ai_edge_litert", "requests", "prompt_toolkit", "fire"})


@pytest.mark.parametrize("script", [GENERATE, INTERACTIVE, CONDITIONAL, DOWNLOAD, SCORE])
@pytest.mark.parametrize("words", [["--help"], ["--", "--help"]])
def test_help_is_cheap(script: Path, words: list[str]) -> None:
    modules, done = imported_by(str(script), *words)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {script.name}")
    assert "--model" in done.stdout and "\n    For text" not in done.stdout
    assert done.stderr == ""
    assert not modules & (HEAVY | {"ai_edge_litert", "prompt_toolkit", "matplotlib", "wcwidth"})


@pytest.mark.parametrize("script", [GENERATE, INTERACTIVE, CONDITIONAL])
@pytest.mark.parametrize(
    "words", [["--topk", "40"], ["--model_name", "345M", "--models_dir", "nowhere"], ["--top_p=0"]]
)
def test_a_mistake_is_cheap(script: Path, words: list[str]) -> None:
    modules, done = imported_by(str(script), *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not modules & (HEAVY | {"ai_edge_litert", "prompt_toolkit"})


def test_sampling_on_a_cpu_loads_no_tensorflow() -> None:
    words = [str(GENERATE), "--model_name=demo", "--nsamples=1", "--length=3", "--device=cpu"]
    modules, done = imported_by(*words)
    assert done.returncode == 0
    assert "ai_edge_litert" in modules
    assert not modules & (HEAVY | {"pyarrow", "ray"})


def imports(path: Path, *, top: bool = False) -> set[str]:
    """The modules that a file imports, all of them or only those it imports when it is imported;
    the package's own without "gpt2_sampler."."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & OWN or {node.module}
    return {name.removeprefix("gpt2_sampler.") for name in found}


FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE or path.name != "__init__.py"
}
OWN = {f"gpt2_sampler.{name}" for name in FILES}


def who_imports(library: str) -> set[str]:
    return {
        name
        for name, path in FILES.items()
        if any(module.split(".")[0] == library for module in imports(path))
    }


WINGS = {
    "errors": "",
    "limits": "errors",
    "files": "errors",
    "writing": "errors files",
    "encodings": "errors files",
    "compiled": "",
    "packages": "errors",
    "pickles": "",
    "registry": "errors files",
    "tokenizer": "errors files packages pickles",
    "weights": "errors files writing packages pickles tokenizer",
    "opening": "errors files registry tokenizer weights",
    "engines": "errors limits files writing compiled packages weights opening",
    "fetching": "errors files writing registry tokenizer weights opening",
    "decoding": "errors limits compiled tokenizer engines",
    "seeing": "errors packages tokenizer decoding",
    "convert": "errors files writing tokenizer weights opening engines",
    "corpus": "errors limits files writing encodings packages tokenizer weights opening engines "
    "decoding",
    "serving": "errors files tokenizer engines decoding seeing",
    "cli": "errors limits files writing encodings compiled packages registry tokenizer weights "
    "opening engines fetching decoding seeing convert corpus serving",
    "__main__": "cli",
}
"""A package or a module beside the packages -> those that it may import, as in CONTRIBUTING.md."""


def wing(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("name", WINGS)
def test_a_wing_knows_what_the_table_says(name: str) -> None:
    own = [path for module, path in FILES.items() if wing(module) == name]
    known = {wing(other) for path in own for other in imports(path) & set(FILES)}
    assert known - {name} == set(WINGS[name].split())


def test_every_module_is_in_a_wing_and_wings_know_each_other_one_way() -> None:
    assert {wing(module) for module in FILES} == set(WINGS)
    graph = {name: known.split() for name, known in WINGS.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_table_of_wings_is_the_one_that_is_held() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| .* \|(.*)\|$", page.partition("## Where")[0], re.MULTILINE)
    assert {name: known.replace(",", "").strip() for name, known in rows[1:]} == WINGS


def test_modules_import_each_other_one_way() -> None:
    graph = {name: imports(path, top=True) & set(FILES) for name, path in FILES.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_only_the_commands_know_a_terminal() -> None:
    assert who_imports("fire") == {"cli.flags.parser"}
    assert {wing(name) for name in who_imports("prompt_toolkit")} == {"cli"}


def test_only_the_commands_know_flags() -> None:
    for name, path in FILES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        found = [t for t in texts if isinstance(t, str) and re.search(r"(?<![\w-])--[a-z]", t)]
        assert wing(name) in ("cli", "engines") or not found, (name, found)


def test_heavy_libraries_stay_where_they_belong() -> None:
    assert who_imports("tensorflow") == {
        "engines.tensorflow.model",
        "engines.tensorflow.engine",
    }
    assert who_imports("ai_edge_litert") == {
        "engines.litert.functions",
        "engines.litert.flatbuffer",
    }


def test_the_model_knows_tensors_only_and_the_loop_engines_only() -> None:
    own = set(FILES)
    assert imports(FILES["engines.tensorflow.model"]) & own == {"weights.hparams"}
    arrays = {
        f"decoding.{name}"
        for name in ("choose", "draw", "kernel", "logits", "noise", "plain", "rules", "sampling")
    }
    known = {name for module in arrays for name in imports(FILES[module]) & own}
    assert known - arrays == {"errors", "limits", "compiled"}
    loop = imports(FILES["decoding.batch"]) | imports(FILES["decoding.rows"])
    known = {name for name in loop & own if wing(name) != "decoding"}
    assert known == {"engines.engine", "errors", "limits"}
    assert imports(FILES["tokenizer.byte_level"]) & own == {
        "errors",
        "files",
        "tokenizer.tokenizer",
    }


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of the package and of its Chinese model. To optimize the C would take most of the time."""
    folder = tmp_path_factory.mktemp("wheels")
    environment = dict(os.environ)
    if os.name == "posix":
        compiler = folder / "cc"
        compiler.write_text(f'#!/bin/sh\nexec {os.environ.get("CC", "cc")} "$@" -O0\n')
        compiler.chmod(0o755)
        environment["CC"] = str(compiler)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    sources = [str(ROOT), str(ROOT / "models" / DEMO_ZH)]
    subprocess.run([*build, "--wheel-dir", str(folder), *sources], check=True, env=environment)
    return next(folder.glob("gpt2_sampler-*.whl")), next(folder.glob("gpt2_sampler_demo_zh-*.whl"))


def names_in(wheel: Path) -> list[str]:
    return [n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n]


def test_a_wheel_holds_one_package_for_every_python_of_a_platform(
    wheels: tuple[Path, Path],
) -> None:
    names = names_in(wheels[0])
    assert {name.split("/")[0] for name in names} == {"gpt2_sampler"}
    assert "-py3-none-" in wheels[0].name
    for compiled in ("engines/litert/_attention.", "decoding/_draw.", "cli/session/_bus_error."):
        assert any(name.startswith(f"gpt2_sampler/{compiled}") for name in names)
    kinds = {"*.py", "*.html", "*.css", "*.js", "py.typed"}
    ours = {f"gpt2_sampler/{p.relative_to(PACKAGE)}" for kind in kinds for p in PACKAGE.rglob(kind)}
    assert ours <= set(names)
    assert {name for name in names if name.endswith(".py")} <= ours


def test_a_wheel_of_at_most_30_mb_holds_the_english_model_and_another_the_chinese(
    wheels: tuple[Path, Path],
) -> None:
    for wheel, bundled in zip(wheels, (DEMO, DEMO_ZH), strict=True):
        assert wheel.stat().st_size < 30e6
        folder = f"gpt2_sampler/{bundled.replace('-', '_')}/"
        files = {name.split("/")[-1] for name in names_in(wheel) if name.startswith(folder)}
        here = {path.name for path in (ROOT / "models" / bundled).iterdir() if path.is_file()}
        assert files == here - {"pyproject.toml"}
    assert not set(names_in(wheels[0])) & set(names_in(wheels[1]))


def test_a_build_leaves_nothing_in_the_checkout(wheels: tuple[Path, Path]) -> None:
    assert not [*ROOT.glob("build"), *(ROOT / "models" / DEMO_ZH).glob("build")]


INSTALLED = """
import sys
from gpt2_sampler.cli.commands.conditional import main
sys.argv = ["gpt2-conditional", "--length", "9", "--seed", "1"]
sys.exit(main())
"""


def test_installed_it_samples_from_any_folder_and_names_the_package_of_the_chinese_model(
    wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "site"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def sample(prompt: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", INSTALLED],
            cwd=tmp_path,
            env=environment,
            input=prompt,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    zipfile.ZipFile(wheels[0]).extractall(tmp_path / "site")
    english = sample("Once upon a time")
    assert english.returncode == 0
    assert english.stdout.startswith(f"{'=' * 40} SAMPLE 1 {'=' * 40}\n")
    assert "gpt2-download 117M" in english.stderr
    without = sample("話說")
    assert without.returncode == 2
    assert without.stdout == ""
    assert without.stderr.splitlines()[-1].endswith("install gpt2-sampler-demo-zh")
    zipfile.ZipFile(wheels[1]).extractall(tmp_path / "site")
    assert sample("話說").returncode == 0
