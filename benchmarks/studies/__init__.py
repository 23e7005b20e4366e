"""What a default, a method or a shape is worth: one question a module."""
