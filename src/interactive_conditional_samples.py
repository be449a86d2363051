"""Asks for prompts and continues them; --help tells the flags."""

import sys

from gpt2_sampler.cli.commands.start import interactive

if __name__ == "__main__":
    sys.exit(interactive())
