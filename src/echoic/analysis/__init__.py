"""The one way from a file to its vectors, here or in worker processes."""
