"""A settings class -> what bash, zsh or fish run to complete a command's flags and their values.

Knows no setting by name.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable

from gpt2_sampler.cli.flags.fields import Field, kinds
from gpt2_sampler.registry import BUNDLED, RELEASED

FILES, FOLDERS = ("FILE", "PATH"), ("DIR",)
"""What --help calls the values that are paths."""
MODELS = (*RELEASED, *BUNDLED)


def completion(settings: type, program: str, positional: str | None, shell: str) -> str:
    """A script for the shell, to be sourced or evaluated."""
    fields = dataclasses.fields(settings)
    takes_files = any(f.name == positional and f.metadata["value"] in FILES for f in fields)
    return SHELLS[shell](settings, program, takes_files)


def words_of(one: Field) -> tuple[str, ...]:
    """The values that a flag is known to take."""
    if one.name == "model_name":
        return MODELS
    return tuple(one.metadata["choices"])


def bash(settings: type, program: str, takes_files: bool) -> str:
    kind_of, cases = kinds(settings), []
    for one in dataclasses.fields(settings):
        value = one.metadata["value"]
        if kind_of[one.name] is bool:
            continue
        if value in FILES:
            action = 'COMPREPLY=($(compgen -f -- "$word"))'
        elif value in FOLDERS:
            action = 'COMPREPLY=($(compgen -d -- "$word"))'
        else:
            action = f'COMPREPLY=($(compgen -W "{" ".join(words_of(one))}" -- "$word"))'
        cases.append(f"    --{one.name}) {action}; return ;;")
    name = re.sub(r"\W", "_", program)
    flags = " ".join([f"--{one}" for one in kind_of] + ["--help", "--version"])
    other = 'COMPREPLY=($(compgen -f -- "$word")); ' if takes_files else ""
    return "\n".join(
        [
            f"_{name}() {{",
            '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
            "  COMPREPLY=()",
            '  case "$before" in',
            *cases,
            "  esac",
            f'  if [[ "$word" != -* && -n "$word" ]]; then {other}return; fi',
            f'  COMPREPLY=($(compgen -W "{flags}" -- "$word"))',
            "}",
            f"complete -o filenames -F _{name} {program}",
        ]
    )


def zsh(settings: type, program: str, takes_files: bool) -> str:
    kind_of, specs = kinds(settings), []
    for one in dataclasses.fields(settings):
        about = re.sub(r"([\[\]:\\])", r"\\\1", one.metadata["help"])
        spec, value = f"--{one.name}[{about}]", one.metadata["value"]
        if kind_of[one.name] is not bool:
            words = f"({' '.join(words_of(one))})" if words_of(one) else " "
            action = "_files" if value in FILES else "_files -/" if value in FOLDERS else words
            spec += f":{value}:{action}"
        specs.append(shlex.quote(f"*{spec}" if kind_of[one.name] is tuple else spec))
    if takes_files:
        specs.append("'*:FILE:_files'")
    name = re.sub(r"\W", "_", program)
    body = " \\\n    ".join(specs)
    function = f"_{name}() {{\n  _arguments \\\n    {body}\n}}"
    return f"#compdef {program}\n{function}\ncompdef _{name} {program}"


def fish(settings: type, program: str, takes_files: bool) -> str:
    kind_of = kinds(settings)
    lines = [] if takes_files else [f"complete -c {program} -f"]
    for one in dataclasses.fields(settings):
        line, value = f"complete -c {program} -l {one.name}", one.metadata["value"]
        if kind_of[one.name] is not bool:
            words = f" -a {shlex.quote(' '.join(words_of(one)))}" if words_of(one) else ""
            paths = " -r -F" if value in FILES else " -x -a '(__fish_complete_directories)'"
            line += paths if value in FILES + FOLDERS else f" -x{words}"
        lines.append(f"{line} -d {shlex.quote(one.metadata['help'])}")
    return "\n".join(lines)


SHELLS: dict[str, Callable[[type, str, bool], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
