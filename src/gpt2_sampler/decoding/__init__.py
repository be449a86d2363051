"""Logits -> tokens -> text."""
