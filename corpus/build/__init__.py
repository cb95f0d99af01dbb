"""Documents of one source from its raw files: stages of parts, one after the other, on any engine."""
