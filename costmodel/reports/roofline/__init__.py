"""The roofline with its operators, in the terminal, as a figure and as a page."""
