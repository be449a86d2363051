"""python -m gpt2_sampler: lists the commands."""

import sys

from gpt2_sampler.cli.commands.start import overview

sys.exit(overview())
