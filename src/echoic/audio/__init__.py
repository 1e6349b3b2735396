"""Audio in: decoding, resampling, windows, spectrograms, and sounds made from nothing."""
