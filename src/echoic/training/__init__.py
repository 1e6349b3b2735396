"""Training of own encoders, from a folder of audio to a model. Importing it loads no torch; its parts do."""
