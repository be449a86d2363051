"""Continues the prompts of a file; --help tells the flags."""

import sys

from gpt2_sampler.cli.conditional import main

if __name__ == "__main__":
    sys.exit(main())
