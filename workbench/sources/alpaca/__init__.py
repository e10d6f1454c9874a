"""Alpaca: websocket and REST through alpaca-py, watched and decoded here. Public name: `AlpacaSource` in `source.py`."""
