"""The model of tests/data/huggingface/plain -> tests/data/formats/tensorflow, as
TensorFlow's transformers saves it. The last version that could was 4.

    pip install "transformers<5" tf-keras torch
    python3 tools/make_tensorflow_fixture.py
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read by transformers when imported

import h5py
import transformers

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
SOURCE, TARGET = DATA / "huggingface" / "plain", DATA / "formats" / "tensorflow"


def main() -> None:
    model = transformers.TFGPT2LMHeadModel.from_pretrained(SOURCE)
    shutil.rmtree(TARGET, ignore_errors=True)
    model.save_pretrained(TARGET)
    (TARGET / "generation_config.json").unlink(missing_ok=True)
    with h5py.File(TARGET / "tf_model.h5") as file:
        file.visit(lambda name: print(name, file=sys.stderr))


if __name__ == "__main__":
    main()
