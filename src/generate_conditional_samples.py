"""Continues the prompts of a file; --help tells the flags."""

import sys

from gpt2_sampler.cli.commands.start import conditional

if __name__ == "__main__":
    sys.exit(conditional())
