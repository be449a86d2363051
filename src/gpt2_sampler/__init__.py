"""GPT-2 on the command line. What this module names is the public API; the rest may change.

A name is imported when it is first used, so that the commands are safe from Ctrl-C before NumPy is.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know this name; importing typing would take longer than that
if TYPE_CHECKING:
    from gpt2_sampler.decoding.batch import Batch as Batch
    from gpt2_sampler.decoding.generate import continue_text as continue_text
    from gpt2_sampler.decoding.generate import continue_texts as continue_texts
    from gpt2_sampler.decoding.generate import generate as generate
    from gpt2_sampler.decoding.request import Choice as Choice
    from gpt2_sampler.decoding.request import Request as Request
    from gpt2_sampler.decoding.request import Token as Token
    from gpt2_sampler.decoding.sampling import Sampling as Sampling
    from gpt2_sampler.decoding.score import places as places
    from gpt2_sampler.decoding.score import score as score
    from gpt2_sampler.decoding.score import score_texts as score_texts
    from gpt2_sampler.decoding.text import Piece as Piece
    from gpt2_sampler.decoding.text import Text as Text
    from gpt2_sampler.engines.engine import Engine as Engine
    from gpt2_sampler.engines.load import load_engine as load_engine
    from gpt2_sampler.errors import SamplerError as SamplerError
    from gpt2_sampler.errors import UsageError as UsageError
    from gpt2_sampler.opening import load_tokenizer as load_tokenizer
    from gpt2_sampler.serving.server import serve as serve
    from gpt2_sampler.tokenizer.load import Tokenizer as Tokenizer

__version__ = "0.1.0"

HOMES = {
    "Batch": "decoding.batch",
    "Choice": "decoding.request",
    "Engine": "engines.engine",
    "Piece": "decoding.text",
    "Request": "decoding.request",
    "SamplerError": "errors",
    "Sampling": "decoding.sampling",
    "Text": "decoding.text",
    "Token": "decoding.request",
    "Tokenizer": "tokenizer.load",
    "UsageError": "errors",
    "continue_text": "decoding.generate",
    "continue_texts": "decoding.generate",
    "generate": "decoding.generate",
    "load_engine": "engines.load",
    "load_tokenizer": "opening",
    "places": "decoding.score",
    "score": "decoding.score",
    "score_texts": "decoding.score",
    "serve": "serving.server",
}
"""The module that has each public name."""
__all__ = [  # noqa: PLE0604
    *HOMES
]


def __dir__() -> list[str]:
    return [*HOMES, "__doc__", "__version__"]


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gpt2_sampler.{HOMES[name]}"), name)
