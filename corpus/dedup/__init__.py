"""Deduplication: of paragraphs, later of whole and near-duplicate documents."""
