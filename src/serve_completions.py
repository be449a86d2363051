#!/usr/bin/env python3
"""Serves completions to other programs, and a page to play on; --help tells the flags."""

import _signal as signal  # type: ignore[import-not-found]  # signal takes time to import

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Ctrl-C prints no traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys

from gpt2_sampler.cli.commands.start import serve

if __name__ == "__main__":
    sys.exit(serve())
