"""Golden cases, a file a method."""
