"""The trainer beside `transformers`, beside its device's matrix products, and beside its own estimates."""
