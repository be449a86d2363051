"""GPT-2 sampler."""
