"""Tokens of all sources → shards of the mixture."""
