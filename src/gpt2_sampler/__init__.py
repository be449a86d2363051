"""GPT-2 on the command line. What this module names is the public API; the rest may change."""

from gpt2_sampler.decoding.sampling import Sampling, generate
from gpt2_sampler.engines.engine import Engine, load_engine
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.tokenizer.byte_level import Encoder, load_encoder

__all__ = [
    "Encoder",
    "Engine",
    "SamplerError",
    "Sampling",
    "generate",
    "load_encoder",
    "load_engine",
]
__version__ = "0.1.0"
