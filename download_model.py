#!/usr/bin/env python3
"""Fetches a GPT-2 model into models/NAME, checked: python3 download_model.py [NAME] (--help)."""

import _signal as signal  # type: ignore[import-not-found]  # signal takes time to import

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Ctrl-C prints no traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os.path
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))  # noqa: PTH100, PTH118, PTH120

from gpt2_sampler.cli.commands.start import download

if __name__ == "__main__":
    sys.exit(download())
