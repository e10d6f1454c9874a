"""Recorded markets: reading and writing files, the Parquet store, and the audit of both. Floor 1."""
