"""How well sounds are found: metrics, figures of labelled clips, and pages that show them."""
