"""The parts of the simulated market, from symbol facts up to a deterministic stream; `sources/simulated.py` adds pace and thread.

universe → factors → day → tape → market → core. Only `market` and `core` are meant to be used directly (notebooks, tests).
"""
