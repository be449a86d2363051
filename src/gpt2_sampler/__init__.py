"""GPT-2 on the command line. What this module names is the public API; the rest may change."""

from gpt2_sampler.encoder import Encoder, load_encoder
from gpt2_sampler.engines import Engine, load_engine
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.sample import Sampling, generate

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
