"""What commands work with: the terminal, a loaded model, and a session of prompts."""
