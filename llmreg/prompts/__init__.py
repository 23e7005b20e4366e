"""Rows of text and cells to what a language model reads: token ids and cell vectors."""
