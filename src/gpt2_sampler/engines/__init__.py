"""Tokens -> logits, on the processor or the graphics card."""
