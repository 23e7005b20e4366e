"""Numbers as sequences of symbols: codecs, the number tree, what is drawn and decoded from it."""
