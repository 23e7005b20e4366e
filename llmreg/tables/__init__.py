"""Tables as users have them, and their rows as text."""
