"""What a library keeps, and where: its catalog, its vector spaces, their stores."""
