"""No model's name and a text -> the bundled model that stands in, and what is said about it."""

from __future__ import annotations

import time

from gpt2_sampler.cli.flags.remedies import command
from gpt2_sampler.cli.flags.settings import ModelSettings
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import own_folder
from gpt2_sampler.registry import DEFAULT, DEMO, DEMO_ZH, find_default

LARGER_CHINESE = "hf:uer/gpt2-chinese-cluecorpussmall"
DAY = 24 * 60 * 60  # seconds


def uses_bundled(settings: ModelSettings) -> bool:
    """Whether no model was asked for and the default one is not here."""
    return settings.model_name is None and find_default(settings.models_dir).name == DEMO


def choose_model(settings: ModelSettings, text: str) -> str:
    """The model that was asked for. If none was, the default one or, where that is not here, the
    bundled one for the text's language."""
    if uses_bundled(settings):
        return DEMO_ZH if is_chinese(text) else DEMO
    return DEFAULT if settings.model_name is None else settings.model_name


def is_chinese(text: str) -> bool:
    """Whether most of its letters are Chinese characters."""
    if text.isascii():
        return False
    import regex  # few starts need it

    return 2 * len(regex.findall(r"\p{Han}", text)) > sum(map(str.isalpha, text))


def explain_bundled(name: str) -> None:
    """Says why this bundled model is used, and how to get a larger one."""
    if is_first_of_the_day("default-is-missing"):
        notice(
            f"{DEFAULT} is not here, so a small bundled model is used; for {DEFAULT} run: "
            f"{command('gpt2-download', DEFAULT)}"
        )
    if name == DEMO_ZH:
        notice(
            f"the text is Chinese, so the bundled model {DEMO_ZH} is used; a larger one:\n"
            f"文字是中文，使用附帶的小模型 {DEMO_ZH}；更大的模型：\n"
            f"{command('gpt2-download', LARGER_CHINESE)}"
        )


def is_first_of_the_day(remark: str) -> bool:
    """Whether this remark is due: it was not made within the last day. Notes that it now was, where
    the state folder can be written to."""
    try:
        note = own_folder("state") / remark
        if note.is_file() and 0 <= time.time() - note.stat().st_mtime < DAY:
            return False
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except (OSError, UsageError):
        pass
    return True
