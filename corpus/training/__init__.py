"""Models and cut-offs of one's own: language models, perplexity percentiles, the page classifier."""
