"""The recorder: every event the hub accepts or puts aside, first to a write-ahead file, then to Parquet by day. Floor 2."""
