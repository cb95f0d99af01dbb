"""What a document is and what is done to its text; knows no engine."""
