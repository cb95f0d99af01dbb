"""The trainer, from the model to a killed run."""
