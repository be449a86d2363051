"""GPT-2 on the command line. What this module names is the public API; the rest may change."""

from gpt2_sampler.decoding.batch import Batch, Choice, Request, Token
from gpt2_sampler.decoding.generate import generate
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
