"""What is heard in sound, and when."""
