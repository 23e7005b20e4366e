"""Pretrained models and tokenizers, from the hub, a folder or memory."""
