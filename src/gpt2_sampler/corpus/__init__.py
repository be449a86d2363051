"""Prompts in, files of samples out."""
