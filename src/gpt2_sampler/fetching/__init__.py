"""A model's name -> its files, over the network or from a folder."""
