"""Tells how likely a model finds a text; --help tells the flags."""

import sys

from gpt2_sampler.cli.commands.start import score

if __name__ == "__main__":
    sys.exit(score())
