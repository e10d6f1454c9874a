"""The gate that every order passes: what it may see, the limits, one small function a rule, and the answer with its reasons."""
