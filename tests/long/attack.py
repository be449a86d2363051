"""kill -9 and other signals at random moments -> a table of what was lost and what was left.

    python -m tests.long.attack [--rounds 40] [--seed 1] [--write]

Each attack runs the real commands again and again in a folder of its own, ends them at random
moments, and looks at what is there: a file under its final name must be right, and after one run
that is let be nothing may be there that a run without any attack does not leave. --write puts the
table into tests/README.md. Nothing outside temporary folders and this machine is touched.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from tests.misbehaving_server import MisbehavingServer, dripping

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "README.md"
DEMO = ROOT / "models" / "demo"
KINDS = (".jsonl", ".jsonl.gz", ".parquet")


class Result(NamedTuple):
    tried: str
    times: int
    lost: int
    left: int


class Place:
    """A folder with models, a cache and a state of its own, and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models = folder, folder / "models"
        self.models.mkdir()
        homes = {"HOME": ".", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state"}
        self.environment = {
            **os.environ,
            **{name: str(folder / home) for name, home in homes.items()},
            "PYTHONPATH": str(ROOT / "src"),
        }

    def start(
        self,
        command: str,
        *words: str,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        module = "gpt2_sampler.cli.commands.start"
        code = f"import sys; from {module} import {command}; sys.exit({command}())"
        return subprocess.Popen(
            [sys.executable, "-c", code, *words, "--models_dir", str(self.models)],
            env=self.environment,
            cwd=self.folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def run(self, command: str, *words: str) -> float:
        """Lets it end well -> the seconds it took."""
        began = time.monotonic()
        with self.start(command, *words) as process:
            _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{command} failed: {errors.decode()}")
        return time.monotonic() - began

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        yield Place(Path(folder))


def killed(
    rounds: int,
    moments: random.Random,
    prepare: Callable[[Place], object],
    words: list[str],
    right: Callable[[Place, bool], bool],
    again: Callable[[Place], object],
) -> tuple[int, int]:
    """Kills the command rounds times -> how often a file under a final name was wrong, and how many
    files are left too many. right is also told whether a run has ended by itself; again makes there
    be something to do after one."""
    with place() as clean:
        prepare(clean)
        seconds = clean.run(*words)
        expected = clean.files()
    with place() as attacked:
        prepare(attacked)
        lost = 0
        for _ in range(rounds):
            with attacked.start(*words) as process:
                time.sleep(moments.uniform(0.1, 1.1) * seconds)
                process.kill()
            lost += not right(attacked, False)
            if attacked.files() >= expected:
                again(attacked)
        attacked.run(*words)
        lost += not right(attacked, True) or not expected <= attacked.files()
        return lost, len(attacked.files() - expected)


def same(folder: Path, origin: Path) -> bool:
    """Whether every file that has its final name is that of the origin."""
    return all(
        (folder / path.name).read_bytes() == path.read_bytes()
        for path in origin.iterdir()
        if path.is_file() and (folder / path.name).exists()
    )


def download(rounds: int, moments: random.Random) -> Result:
    with tempfile.TemporaryDirectory() as served, MisbehavingServer(Path(served)) as server:
        copy_files(DEMO, Path(served) / "own")
        server.misbehave("", dripping(1 << 18, 0.01))
        lost, left = killed(
            rounds,
            moments,
            lambda here: None,
            ["download", "own", "--base_url", server.url, "--no_export", "--quiet"],
            lambda here, _: same(here.models / "own", Path(served) / "own"),
            lambda here: shutil.rmtree(here.models / "own"),
        )
    return Result("kill -9 while a model is downloaded", rounds, lost, left)


def take_demo(here: Place) -> None:
    copy_files(DEMO, here.models / "demo")


def copy_files(origin: Path, target: Path) -> None:
    """Without what was exported beside them."""
    target.mkdir()
    for path in origin.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def export(rounds: int, moments: random.Random) -> Result:
    def forget(here: Place) -> None:
        for folder in (here.folder / "cache", here.models / "demo" / "litert"):
            shutil.rmtree(folder, ignore_errors=True)

    lost, left = killed(
        rounds,
        moments,
        take_demo,
        ["generate", "--model_name", "demo", "--nsamples", "1", "--length", "3"],
        lambda here, _: same(here.models / "demo", DEMO),
        forget,
    )
    return Result("kill -9 while a model is exported, then sampled from", rounds, lost, left)


def conversion(rounds: int, moments: random.Random) -> Result:
    def whole(here: Place, _: bool) -> bool:
        """A folder under its final name has all its files."""
        target = here.folder / "converted"
        return not target.exists() or (target / "config.json").exists()

    lost, left = killed(
        rounds,
        moments,
        take_demo,
        ["convert", "demo", "converted"],
        whole,
        lambda here: shutil.rmtree(here.folder / "converted"),
    )
    return Result("kill -9 while a model is converted", rounds, lost, left)


def corpus(rounds: int, moments: random.Random) -> Result:
    of_each = -(-rounds // len(KINDS))
    each = [corpus_of(kind, of_each, moments) for kind in KINDS]
    lost, left = (sum(counts) for counts in zip(*each, strict=True))
    return Result("kill -9 of a run that writes records", len(KINDS) * of_each, lost, left)


def corpus_of(kind: str, rounds: int, moments: random.Random) -> tuple[int, int]:
    """What is there must be the beginning of what one undisturbed run makes; a table, all of it."""
    name = f"samples{kind}"
    words = ["generate", "--model_name", "demo", "--seed", "1", "--output", name, "--quiet"]
    words += ["--nsamples", "96", "--length", "40"]
    with place() as undisturbed:
        take_demo(undisturbed)
        undisturbed.run(*words)
        whole = (undisturbed.folder / name).read_bytes()

    def right(here: Place, ended: bool) -> bool:
        path = here.folder / name
        there = path.read_bytes() if path.exists() else b""
        if ended or kind == ".parquet":
            return there == whole or (not ended and not there)
        return whole.startswith(there)

    return killed(
        rounds, moments, take_demo, words, right, lambda here: (here.folder / name).unlink()
    )


def history(rounds: int, moments: random.Random) -> Result:
    import pexpect

    lost = 0
    with place() as here:
        typed = list[str]()
        for number in range(rounds):
            words = [str(ROOT / "src" / "interactive_conditional_samples.py"), "--model_name"]
            session = pexpect.spawn(
                sys.executable,
                [*words, "demo", "--length", "1"],
                env={**here.environment, "TERM": "xterm"},
                encoding="utf-8",
                timeout=60,
            )
            session.expect_exact("Model prompt >>> ")
            time.sleep(0.2)
            typed.append(f"prompt {number}")
            session.send(f"{typed[-1]}\r")
            session.expect_exact("SAMPLE 1")
            time.sleep(moments.uniform(0, 0.1))
            session.kill(signal.SIGKILL)
            session.close()
        (kept,) = (here.folder / "state").rglob("history")
        lines = [line[1:] for line in kept.read_text().splitlines() if line.startswith("+")]
        lost = len(set(typed) - set(lines))
        left = len([path for path in kept.parent.iterdir() if path != kept])
    return Result("kill -9 of a session, right after a prompt", rounds, lost, left)


LONG_TASKS = {
    "generate": ["--model_name", "demo"],
    "conditional": ["prompts", "--model_name", "demo", "--nsamples", "1000"],
    "score": ["prompts", "--model_name", "demo", "--stride", "1"],
}
"""Commands that do not end by themselves while they are attacked."""


def signals(rounds: int, moments: random.Random) -> Result:
    """Lost is here: a traceback, or another end than that by the signal."""
    lost = times = 0
    with place() as here:
        take_demo(here)
        (here.folder / "prompts").write_text("Once upon a time there was a king.\n" * 1000)
        seconds = here.run("generate", "--model_name", "demo", "--nsamples", "1", "--length", "3")
        for command, words in LONG_TASKS.items():
            for number in range(rounds):
                ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[number % 3]
                with here.start(command, *words) as process:
                    time.sleep(0.06 + moments.uniform(0, 1.5) * seconds)
                    process.send_signal(ending)
                    _, errors = process.communicate()
                wrong = process.returncode != -ending or b"Traceback" in errors
                if wrong:
                    print(command, ending, process.returncode, errors.decode(), file=sys.stderr)
                lost += wrong
                times += 1
    tried = "Ctrl-C, SIGTERM, SIGHUP of generate, conditional, score, from start to text"
    return Result(tried, times, lost, 0)


ATTACKS = (download, export, corpus, conversion, history, signals)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n"
    return head + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def put_into_readme(made: str, by: str) -> None:
    """Between the marks of the program that made it."""
    begin, end = f"<!-- made by {by} -->\n", "<!-- end -->\n"
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    TABLE.write_text(f"{before}{begin}{made}{end}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=40, help="times each attack is tried")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE}")
    chosen = parser.parse_args()
    # Commands inherit what is ignored, as it is where this runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    results = []
    for attack in ATTACKS:
        results.append(attack(chosen.rounds, random.Random(chosen.seed)))
        print(results[-1], file=sys.stderr, flush=True)
    made = table(("what was tried", "times", "lost", "left"), results)
    print(made, end="")
    if chosen.write:
        put_into_readme(made, "tests/long/attack.py")
    return int(any(result.lost or result.left for result in results))


if __name__ == "__main__":
    sys.exit(main())
