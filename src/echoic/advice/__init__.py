"""Which encoders and which store suit a collection, measured on a sample of it."""
