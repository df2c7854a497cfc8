"""The constants of the laws, and the spread of what is left, derived again from measurements."""
