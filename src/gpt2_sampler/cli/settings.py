"""What the two sampling commands can be asked for, checked. Knows no files and no models."""

from __future__ import annotations

import dataclasses

from gpt2_sampler.cli.flags import flag
from gpt2_sampler.engines import DEVICES, PRECISIONS
from gpt2_sampler.errors import UsageError
from gpt2_sampler.sample import Sampling

TOP_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class SamplingSettings:
    """The flags that both commands have. Raises UsageError for an impossible value."""

    model_name: str | None = flag(
        None, "the model; without it 117M, or the bundled demo model where 117M is not", "NAME"
    )
    seed: int | None = flag(
        None, "fixes the samples; without it one is chosen and shown on stderr", "N"
    )
    nsamples: int = flag(1, "samples for each prompt", "N")
    batch_size: int = flag(1, "samples written at the same time; never changes what they say", "N")
    length: int | None = flag(None, "tokens in a sample", "N")
    temperature: float = flag(
        1.0, "below 1 more predictable, above 1 wilder, 0 the likeliest token every time", "T"
    )
    top_k: int = flag(0, "draw from the K likeliest tokens only, 0 from all; 40 is good", "K")
    top_p: float = flag(
        1.0, "draw from the fewest tokens that have the share P of the probability; 1 from all", "P"
    )
    models_dir: str | None = flag(
        None, "where models are; without it ./models, or else your data folder", "DIR"
    )
    device: str = flag("auto", "auto, cpu or gpu", "DEVICE")
    precision: str = flag(
        "float32", "float32 (exact) or int8 (faster, a quarter of the memory)", "P"
    )

    def __post_init__(self) -> None:
        lowest = {"seed": 0, "nsamples": 1, "batch_size": 1, "length": 1, "top_k": 0}
        for name, low in (lowest | self.lowest()).items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise UsageError(f"--{name} must be {low} or more, not {value}")
        if self.seed is not None and self.seed > TOP_SEED:
            raise UsageError(f"--seed must be at most {TOP_SEED}, not {self.seed}")
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"--temperature must be 0 or more, not {self.temperature:g}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top_p must be above 0 and at most 1, not {self.top_p:g}")
        for name, known in (("device", DEVICES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise UsageError(f"--{name} must be one of {', '.join(known)}, not {value!r}")

    def lowest(self) -> dict[str, int]:
        """Lowest values that differ from the usual ones."""
        return {}

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p)


@dataclasses.dataclass(frozen=True)
class GenerateSettings(SamplingSettings):
    """Writes samples out of nothing, one after another, to stdout.

    For text that reads well, try: --top_k 40 --temperature 0.7
    """

    nsamples: int = flag(0, "samples to write, 0 for no end", "N")
    length: int | None = flag(None, "tokens in a sample, by default the model's window", "N")

    def lowest(self) -> dict[str, int]:
        return {"nsamples": 0}


@dataclasses.dataclass(frozen=True)
class InteractiveSettings(SamplingSettings):
    """Asks for a prompt, continues it, and asks again. Each line of a pipe is a prompt.

    For text that reads well, try: --top_k 40 --temperature 0.7
    """

    length: int | None = flag(None, "tokens in a sample, by default half the model's window", "N")
