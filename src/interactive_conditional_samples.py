"""Asks for prompts and continues them; --help tells the flags."""

import sys

from gpt2_sampler.cli.interactive import main

if __name__ == "__main__":
    sys.exit(main())
