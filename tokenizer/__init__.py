"""SentencePiece training and encoding; the shard writer and reader."""
