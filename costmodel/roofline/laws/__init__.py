"""Efficiency laws: the named physical effects that separate achieved from peak.

Each law is a small function of operator columns and device columns, vectorised over both, with
its constants in `constants.py`. With all laws off the engine is the plain roofline.
"""
