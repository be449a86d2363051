"""Fetches a GPT-2 model into models/NAME, checked: python3 download_model.py [NAME] (--help)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from gpt2_sampler.cli.commands.start import download

if __name__ == "__main__":
    sys.exit(download())
