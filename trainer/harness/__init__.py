"""The paper's evaluations that are at hand as local files, by lm-evaluation-harness."""
