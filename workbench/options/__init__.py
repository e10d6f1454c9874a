"""Options: prices, greeks, implied volatility, time to expiry. Pure maths on arrays and on the trading calendar.

`black.py` is the readable form of every price and greek; `kernel.py` the fast one, checked against it. Time is measured by one
of three clocks, named in every call (`clocks.py`): a volatility belongs to the clock it was implied with.

Floor 1: imports floor 0 only.
"""
