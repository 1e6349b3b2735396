"""What keeps a library sound for years: copies, room given back, its vectors for other programs."""
