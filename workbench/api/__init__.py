"""The hub as a service: its state over HTTP on this machine, for readers in other processes.

Floor 8.
"""
