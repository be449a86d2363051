"""The device and precision that are asked for -> an engine, loaded.

Knows which engines there are, but not how they work.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from gpt2_sampler.engines.cgroups import ROOT
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.processors import physical_cores
from gpt2_sampler.errors import EngineError, OutOfMemory, UsageError, brief
from gpt2_sampler.limits import check_limits
from gpt2_sampler.opening import open_model
from gpt2_sampler.packages import is_installed, require
from gpt2_sampler.weights.checkpoint import Checkpoint

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("float32", "int8")
LITERT_RUNS_ON = {
    *(("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")),
}


NO_SPACE = "failed to map segment"
"""What Linux says of a library for which no memory is left."""


def load_engine(
    model: str | Path | Checkpoint,
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
) -> Engine:
    """A model, ready to run. Vocabulary files are not read.

    model is a path, or a str that is a path or the name of a model where models are kept, as the
    commands take it: load_engine("demo"). device is one of DEVICES; "auto" means a GPU if there is
    one. precision is one of PRECISIONS; int8 is for the CPU. threads is the number of CPU threads,
    by default one for each physical core that the process may use. Raises UsageError for any other
    value and a model that is not there, CheckpointError for one that is not complete, EngineError
    if the device is not available.
    """
    try:
        device = find_device(device, precision)
        threads = physical_cores() if threads is None else check_limits("threads", threads)
        return new_engine(open_model(model), device, precision, threads)
    except MemoryError:
        pass  # what was taken until here is given back before an error takes any
    except (ImportError, OSError) as problem:  # LiteRT loads a library by itself
        if NO_SPACE not in str(problem):
            if isinstance(problem, OSError):
                raise
            raise EngineError(explain_import(problem)) from None
    change = {"change": ["precision"]} if precision == "float32" and device == "cpu" else {}
    raise OutOfMemory("the model does not fit the memory that is left", **change)


def new_engine(checkpoint: Checkpoint, device: str, precision: str, threads: int) -> Engine:
    if device == "cpu" and is_installed("ai_edge_litert"):
        from gpt2_sampler.engines.litert.engine import LiteRTEngine

        return LiteRTEngine(checkpoint, precision, threads)
    if device == "cpu":
        require_tensorflow_instead(precision)
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(checkpoint, device, threads)


def explain_import(problem: ImportError) -> str:
    said = " ".join(str(problem).split())
    if sys.platform == "win32" and "DLL load failed" in said:
        return (
            "LiteRT needs Microsoft's Visual C++ runtime, which this machine lacks; install it "
            f"from https://aka.ms/vs/17/release/vc_redist.x64.exe ({said})"
        )
    return f"what runs the model cannot be loaded ({said})"


def require_tensorflow_instead(precision: str) -> None:
    """Where LiteRT is not installed. Raises EngineError unless TensorFlow can run the model on the
    CPU."""
    here = f"{sys.platform} on {platform.machine()}"
    if (sys.platform, platform.machine()) in LITERT_RUNS_ON:
        missing, package = "LiteRT is not installed", "ai-edge-litert"
    else:
        missing, package = f"LiteRT is not made for {here}", "tensorflow"
    if not is_installed("tensorflow"):
        raise EngineError(f"{missing}, and TensorFlow is not installed either", package=package)
    if precision != "float32":
        raise EngineError(f"{missing}; TensorFlow runs float32 only", fits={"precision": "float32"})


def find_device(device: str, precision: str) -> str:
    """What was asked for -> "cpu" or "gpu", whichever will run the model.

    Raises UsageError for an impossible request, EngineError if a GPU is not available.
    """
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if not isinstance(value, str) or value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {brief(value)}")
    if device == "gpu" and precision != "float32":
        raise UsageError(f"precision {precision} is for the CPU; a GPU runs float32")
    if device == "cpu" or precision != "float32":
        return "cpu"
    if device == "auto" and not (has_driver() and is_installed("tensorflow")):
        return "cpu"
    require("tensorflow", "a GPU is used through", EngineError)
    from gpt2_sampler.engines.tensorflow.engine import sees_gpu

    if sees_gpu():  # a driver alone does not make TensorFlow use it
        return "gpu"
    if device == "gpu":
        raise EngineError("TensorFlow finds no GPU on this machine; without one the CPU is used")
    return "cpu"


def has_driver(root: Path = ROOT) -> bool:
    """Whether NVIDIA's driver shows a GPU, by itself or as WSL2 passes it on from Windows. Found
    without TensorFlow, whose import takes seconds."""
    wsl = (root / "dev/dxg").exists() and any((root / "usr/lib/wsl/lib").glob("libcuda.so*"))
    return wsl or any((root / "proc/driver/nvidia/gpus").glob("*"))
