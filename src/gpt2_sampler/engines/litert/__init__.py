"""The CPU engine: LiteRT."""
