"""One module an annotator: a batch of documents → further columns. Annotators never drop a row."""
