"""A model's files -> its weights and hyperparameters."""
