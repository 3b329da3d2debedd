"""The inside of a module file (.ko) and its signature: pure parsers, one file a format."""
