"""Typed outputs: what an answer may be, how the model is asked for it, and how it is checked."""
