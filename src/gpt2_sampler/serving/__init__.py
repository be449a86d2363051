"""A model to others: the page to play on."""
