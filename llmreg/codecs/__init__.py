"""Numbers as sequences of symbols: target codecs, and on which scale they count."""
