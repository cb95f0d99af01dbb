"""The LLaMA model, the loader and the training loop; the only package that imports torch."""
