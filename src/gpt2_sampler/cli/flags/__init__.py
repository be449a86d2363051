"""Words of a command line -> settings; and errors -> what to type."""
