"""A model's name or path -> a new folder in the other layout: the command gpt2-convert."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gpt2_sampler.cli.flags.fields import check_flags, flag
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.settings import CHECKPOINT, MODELS_DIR, VERBOSE
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.convert import KINDS, convert, require_target
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import user_path
from gpt2_sampler.opening import open_model
from gpt2_sampler.registry import find_model
from gpt2_sampler.weights.hparams import HParams


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """gpt2-convert SOURCE TARGET writes the model SOURCE, a name or a path to any kind, to the new
    folder TARGET and checks that it gives the same logits. It never overwrites anything.
    """

    paths: tuple[str, ...] = flag((), "SOURCE and TARGET, also without --paths", "PATH")
    to: str | None = flag(
        None, "openai or huggingface; by default the one that SOURCE is not", "KIND", choices=KINDS
    )
    checkpoint: str | None = flag(None, CHECKPOINT, "STEP")
    models_dir: str | None = flag(None, MODELS_DIR, "DIR")
    verbose: bool = flag(False, VERBOSE)

    def __post_init__(self) -> None:
        if len(self.paths) != 2:
            raise UsageError(f"type SOURCE and TARGET, two names; there were {len(self.paths)}")
        check_flags(self)


def run_convert(argv: Sequence[str], program: str) -> None:
    settings = parse(ConvertSettings, argv, program, positional="paths")
    name, target = settings.paths[0], user_path(settings.paths[1])
    require_target(target)
    path = find_model(name, settings.models_dir)
    source = open_model(path, settings.checkpoint, settings.models_dir)
    kind = settings.to or next(kind for kind in KINDS if kind != source.tensors.kind)
    notice(f"converting {path} to {target}, a folder as {kind}'s")
    with quiet(settings.verbose):
        convert(source, target, kind)
    if kind == "openai" and beyond_openai(source.hparams):
        notice("OpenAI's own code cannot run it: it differs in more than size")
    notice(f"done; every logit of {target} agrees with {path}'s")


def beyond_openai(hparams: HParams) -> bool:
    h = hparams
    return h != HParams(h.n_vocab, h.n_ctx, h.n_embd, h.n_head, h.n_layer)


def main(argv: Sequence[str] | None = None) -> int:
    return run(run_convert, argv)
