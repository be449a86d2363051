"""GPT-2 on the command line. What this module names is the public API; the rest may change.

A name is imported when it is first used, so that the commands are safe from Ctrl-C before NumPy is.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know this name; importing typing would take longer than that
if TYPE_CHECKING:
    from gpt2_sampler.decoding.batch import Batch
    from gpt2_sampler.decoding.generate import generate
    from gpt2_sampler.decoding.request import Choice, Request, Token
    from gpt2_sampler.decoding.sampling import Sampling
    from gpt2_sampler.decoding.score import places, score
    from gpt2_sampler.engines.engine import Engine
    from gpt2_sampler.engines.load import load_engine
    from gpt2_sampler.errors import SamplerError
    from gpt2_sampler.opening import load_tokenizer
    from gpt2_sampler.tokenizer.load import Tokenizer

__all__ = [
    "Batch",
    "Choice",
    "Engine",
    "Request",
    "SamplerError",
    "Sampling",
    "Token",
    "Tokenizer",
    "generate",
    "load_engine",
    "load_tokenizer",
    "places",
    "score",
]
__version__ = "0.1.0"

HOMES = {
    "decoding.batch": ("Batch",),
    "decoding.request": ("Choice", "Request", "Token"),
    "decoding.generate": ("generate",),
    "decoding.sampling": ("Sampling",),
    "decoding.score": ("places", "score"),
    "engines.engine": ("Engine",),
    "engines.load": ("load_engine",),
    "errors": ("SamplerError",),
    "opening": ("load_tokenizer",),
    "tokenizer.load": ("Tokenizer",),
}


def __getattr__(name: str) -> object:
    for module, names in HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"gpt2_sampler.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
