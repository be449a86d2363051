"""The device and precision that are asked for -> an engine, loaded.

Knows which engines there are, but not how they work.
"""

from __future__ import annotations

import os
from pathlib import Path

from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("float32", "int8")


def load_engine(
    model: str | Path | Checkpoint,
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
) -> Engine:
    """The model at a path, ready to run. Vocabulary files are not read.

    device is one of DEVICES; "auto" means a GPU if there is one. precision is one of PRECISIONS;
    int8 is for the CPU. threads is the number of CPU threads, by default one for each physical
    core. Raises UsageError for any other value, CheckpointError if there is no complete model,
    EngineError if the device is not available.
    """
    device = find_device(device, precision)
    checkpoint = open_checkpoint(model)
    if device == "gpu":
        from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

        return TensorFlowEngine(checkpoint, "gpu")
    from gpt2_sampler.engines.litert.engine import LiteRTEngine

    return LiteRTEngine(checkpoint, precision, threads or physical_cores())


def find_device(device: str, precision: str) -> str:
    """What was asked for -> "cpu" or "gpu", whichever will run the model.

    Raises UsageError for an impossible request, EngineError if a GPU is not available.
    """
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if device == "gpu" and precision != "float32":
        raise UsageError(f"precision {precision} is for the CPU; a GPU runs float32")
    if device == "cpu" or precision != "float32" or (device == "auto" and not has_driver()):
        return "cpu"
    from gpt2_sampler.engines.tensorflow.engine import sees_gpu

    if sees_gpu():  # a driver alone does not make TensorFlow use it
        return "gpu"
    if device == "gpu":
        raise EngineError("TensorFlow finds no GPU on this machine; without one the CPU is used")
    return "cpu"


def has_driver() -> bool:
    """Whether NVIDIA's driver shows a GPU, found without TensorFlow, whose import takes seconds."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1
