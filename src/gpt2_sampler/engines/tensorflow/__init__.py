"""The GPU engine, and the plain reference: TensorFlow."""
