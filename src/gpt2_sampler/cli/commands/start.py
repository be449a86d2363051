"""The commands by name, started so that Ctrl-C never prints a traceback of unfinished imports.

Imports only what Python has loaded already: anything else would take time, and could be missing.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import sys

from gpt2_sampler.cli.session.keys import give_back, hold

# NumPy's library for matrices would start a thread for each processor, with room for each. What few
# products it is asked for, where attention was not compiled, are no faster with them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def start(module: str) -> int:
    """Runs a command -> its exit code. Before and after it Ctrl-C ends the process silently."""
    let_interrupts_end_the_process()
    from importlib import import_module

    try:
        main = import_module(f"gpt2_sampler.cli.commands.{module}").main
    except ModuleNotFoundError as error:
        activate = r".venv\Scripts\activate" if os.name == "nt" else ". .venv/bin/activate"
        sys.stderr.write(
            f"error: {sys.executable} has no package {error.name}; activate the environment that "
            f"was set up ({activate}), or set one up as README.md says\n"
        )
        return 1
    code = main()
    let_interrupts_end_the_process()
    return code


def let_interrupts_end_the_process() -> None:
    """Unless they are ignored, as in a background job."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def generate() -> int:
    return start("unconditional")


def conditional() -> int:
    return start("conditional")


def interactive() -> int:
    """Keeps what is typed during the imports for the first question, if there will be one."""
    if (os.isatty(1) or os.isatty(2)) and hold():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name)
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, end)
    try:
        return start("interactive")
    finally:
        give_back()


def end(number: int, frame: object) -> None:
    """Restores the terminal and ends the process by the signal."""
    give_back()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def download() -> int:
    return start("download")


def convert() -> int:
    return start("conversion")


def score() -> int:
    return start("scoring")


def serve() -> int:
    return start("serve")


def overview() -> int:
    """Lists the commands, or prints the version."""
    if "--version" in sys.argv:
        from gpt2_sampler.cli.flags.version import version_text

        sys.stdout.write(f"{version_text(details=False)}\n")
        return 0
    width = max(map(len, COMMANDS)) + 2
    lines = [f"{name:{width}}{what}" for name, what in COMMANDS.items()]
    sys.stdout.write("\n".join([*lines, "", "each of them: --help, --version", ""]))
    return 0


COMMANDS = {
    "gpt2-generate": "write samples without a prompt",
    "gpt2-conditional": "continue the prompts of a file",
    "gpt2-interactive": "continue a prompt, and ask for the next one",
    "gpt2-score": "say how likely a model finds a text",
    "gpt2-serve": "serve completions to other programs, and a page to play on",
    "gpt2-download": "fetch a model, list and verify those that are here",
    "gpt2-convert": "turn a model into OpenAI's or Hugging Face's layout",
}
