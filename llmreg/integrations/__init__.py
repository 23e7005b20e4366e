"""Manners towards other libraries."""
