"""What a wheel holds and what it needs; the rest of its metadata is in pyproject.toml."""

import atexit
import os
import shutil
import tempfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
TENSORFLOW, *NEEDED = (HERE / "requirements.txt").read_text("utf-8").splitlines()
EXTRAS = {
    "gguf": ["gguf>=0.17"],
    "gpu": [
        TENSORFLOW.replace("tensorflow", "tensorflow[and-cuda]", 1)
        + ' and sys_platform == "linux" and platform_machine == "x86_64"'
    ],
    "h5": ["h5py>=3.10"],
    "hf": ["tokenizers>=0.20"],
    "parquet": ["pyarrow>=14"],
    "plot": ["matplotlib>=3.8"],
    "ray": ["ray>=2.9"],
    "serve": ["httptools>=0.6.3", "prometheus-client>=0.20", "uvicorn>=0.30"],
    "tensorflow": [TENSORFLOW],
    "zh": ["gpt2-sampler-demo-zh"],
}
BUNDLED = {"gpt2_sampler.demo": "models/demo"}
"""The model that lies in the checkout where people look for it, and in a wheel inside the package.
models/demo-zh is a wheel of its own: weights are random bits that nothing makes smaller, and what
everybody downloads stays below 25 MB."""

# Nothing is left in the checkout, and nothing that an earlier build left there gets into a wheel.
BUILD = tempfile.mkdtemp(prefix="gpt2-sampler-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)
OPTIONS = {"build": {"build_base": BUILD}}
if not os.access(HERE, os.W_OK):
    OPTIONS["egg_info"] = {"egg_base": BUILD}


class Wheel(bdist_wheel):
    """For every Python of a platform: what is compiled is loaded with ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


UNIX = os.name == "posix"


class Library(Extension):
    """C that is loaded with ctypes: it needs a C compiler and no Python headers, and serves any
    Python. Without a compiler that knows GNU C the installation goes on."""

    def __init__(self, name: str, source: str, *included: str) -> None:
        super().__init__(
            f"gpt2_sampler.{name}",
            [f"src/gpt2_sampler/{source}"],
            depends=[f"src/gpt2_sampler/{path}" for path in included],
            extra_compile_args=["-O3", "-std=gnu11", *(["-pthread"] if UNIX else [])],
            extra_link_args=["-pthread"] if UNIX else [],
            libraries=["m"] if UNIX else [],
            optional=True,
        )


class BuildLibraries(build_ext):
    """Files whose names say nothing of a Python, and that export no function for it."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + EXTENSION_SUFFIXES[-1]

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


setup(
    install_requires=NEEDED,
    extras_require=EXTRAS,
    packages=[*find_packages("src"), *BUNDLED],
    package_dir={"": "src", **BUNDLED},
    package_data={
        "": ["*.html", "*.css", "*.js", "py.typed"],
        **{package: ["*"] for package in BUNDLED},
    },
    include_package_data=False,
    cmdclass={"build_ext": BuildLibraries, "bdist_wheel": Wheel},
    options=OPTIONS,
    # Without them attention and the draw run in NumPy, and bus errors end the process silently.
    ext_modules=[
        Library(
            "engines.litert._attention",
            "engines/litert/attention.c",
            "engines/litert/attention_kernel.h",
            "engines/litert/attention_int8.h",
            "threads.h",
        ),
        Library("decoding._draw", "decoding/draw.c", "decoding/draw_kernel.h", "threads.h"),
        Library("cli.session._bus_error", "cli/session/bus_error.c"),
    ],
)
