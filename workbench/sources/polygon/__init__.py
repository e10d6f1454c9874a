"""Polygon.io / Massive: websocket and REST through their own Python clients, decoded here. Public name: `PolygonSource` in `source.py`."""
