"""The commands: flags -> the rest of the package -> the terminal."""
