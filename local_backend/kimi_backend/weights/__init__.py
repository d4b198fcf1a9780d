"""Weights as Kimi K2 is published in: block-fp8 and packed int4, and checkpoints read into `reference_model.K2`. Needs torch."""
