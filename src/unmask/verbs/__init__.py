"""What a user can do, one verb a file, each to be read from top to bottom."""
