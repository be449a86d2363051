"""Writes samples out of nothing; --help tells the flags."""

import sys

from gpt2_sampler.cli.commands.start import generate

if __name__ == "__main__":
    sys.exit(generate())
