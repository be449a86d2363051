"""Metadata and what a wheel holds; the settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent
PACKAGE = HERE / "src" / "gpt2_sampler"
VERSION = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text("utf-8"))[1]
BUNDLED = {"gpt2_sampler.demo": "models/demo", "gpt2_sampler.demo_zh": "models/demo-zh"}
"""Models that lie in the checkout where people look for them, and in a wheel inside the package."""

setup(
    name="gpt2-sampler",
    version=VERSION,
    description="Sample from GPT-2 on the command line: fast on a CPU, streaming, offline",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    install_requires=(HERE / "requirements.txt").read_text("utf-8").split(),
    extras_require={
        "gguf": ["gguf>=0.17"],
        "hdf5": ["h5py>=3.10"],
        "hf": ["tokenizers>=0.20"],
        "parquet": ["pyarrow>=14"],
        "plot": ["matplotlib>=3.8"],
        "ray": ["ray>=2.9"],
    },
    packages=[*find_packages("src"), *BUNDLED],
    package_dir={"": "src", **BUNDLED},
    package_data={
        **{package: ["*"] for package in BUNDLED},
        "gpt2_sampler": ["py.typed"],
        "gpt2_sampler.seeing": ["*.html", "*.css", "*.js"],
        "gpt2_sampler.serving.page": ["*.html", "*.css", "*.js"],
    },
    include_package_data=False,
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
    entry_points={
        "console_scripts": [
            "gpt2-generate = gpt2_sampler.cli.commands.start:generate",
            "gpt2-conditional = gpt2_sampler.cli.commands.start:conditional",
            "gpt2-interactive = gpt2_sampler.cli.commands.start:interactive",
            "gpt2-download = gpt2_sampler.cli.commands.start:download",
            "gpt2-convert = gpt2_sampler.cli.commands.start:convert",
            "gpt2-score = gpt2_sampler.cli.commands.start:score",
        ]
    },
)
