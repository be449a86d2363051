"""The commands' settings -> docs/flags.md, which a test keeps equal to them.

python3 tools/write_flags.py
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from pathlib import Path

from gpt2_sampler.cli.commands.conversion import ConvertSettings
from gpt2_sampler.cli.commands.download import DownloadSettings
from gpt2_sampler.cli.commands.serve import ServeSettings
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, GenerateSettings
from gpt2_sampler.cli.flags.fields import Field
from gpt2_sampler.cli.flags.help import group_of, remark
from gpt2_sampler.cli.flags.score_settings import ScoreSettings
from gpt2_sampler.cli.flags.settings import InteractiveSettings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "flags.md"
COMMANDS = {
    "gpt2-generate": GenerateSettings,
    "gpt2-interactive": InteractiveSettings,
    "gpt2-conditional": ConditionalSettings,
    "gpt2-score": ScoreSettings,
    "gpt2-serve": ServeSettings,
    "gpt2-download": DownloadSettings,
    "gpt2-convert": ConvertSettings,
}


def flags_page() -> str:
    parts = [
        "# Flags\n\nFor whoever looks one up. `--flag value` or `--flag=value`; `COMMAND --help` "
        "shows the usual ones, `--help all` what stands here. Written by tools/write_flags.py.\n"
    ]
    for command, settings in COMMANDS.items():
        about = inspect.cleandoc(settings.__doc__ or "")
        parts.append(f"\n## {command}\n\n{escape(about)}\n")
        fields = dataclasses.fields(settings)
        title_of = functools.partial(title_in, settings)
        for title, group in itertools.groupby(fields, title_of):
            parts.append(f"\n| {title.removesuffix(':')} | |\n|---|---|\n")
            for one in group:
                name = f"--{one.name} {one.metadata['value']}".rstrip()
                text = f"{one.metadata['help']}{remark(one, full=True)}"
                parts.append(f"| `{name}` | {escape(text)} |\n".replace("||", r"\|\|"))
    return "".join(parts)


def title_in(settings: type, one: Field) -> str:
    return group_of(settings, one.name)


def escape(text: str) -> str:
    return text.replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")


def main() -> None:
    PAGE.write_text(flags_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
