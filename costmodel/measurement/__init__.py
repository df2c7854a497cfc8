"""What was measured: read, timed here, compared with predictions, and fitted to.

A room knows those before it: `tables`, `measuring`, `validation`, then `fitting` and
`reproduction`, which do not know each other.
"""
