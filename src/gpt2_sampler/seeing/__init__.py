"""How likely a model finds a text -> something to look at: paint, bars, a page, a curve."""
