"""Bytes ↔ parts ↔ messages. Pure: nothing here does I/O or knows an endpoint."""
