"""What the model made of a text -> something to look at: paint, bars, a page, a curve."""
