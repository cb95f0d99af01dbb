"""One module a source: raw bytes → batches of documents, and bad records."""
