"""What a wheel holds and what it needs; the rest of its metadata is in pyproject.toml."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel

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
    "serve": ["prometheus-client>=0.20", "uvicorn>=0.30"],
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
    cmdclass={"bdist_wheel": Wheel},
    options=OPTIONS,
    # Loaded with ctypes: they need a C compiler and no Python headers. Without a compiler the
    # installation goes on; attention then runs in NumPy, and bus errors end the process silently.
    ext_modules=[
        Extension(
            "gpt2_sampler.engines.litert._attention",
            ["src/gpt2_sampler/engines/litert/attention.c"],
            depends=[
                "src/gpt2_sampler/engines/litert/attention_kernel.h",
                "src/gpt2_sampler/engines/litert/attention_vnni.h",
            ],
            extra_compile_args=["-O3", "-std=gnu11"],
            optional=True,
        ),
        Extension(
            "gpt2_sampler.cli.session._bus_error",
            ["src/gpt2_sampler/cli/session/bus_error.c"],
            extra_compile_args=["-std=gnu11"],
            optional=True,
        ),
    ],
)
