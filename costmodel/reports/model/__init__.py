"""Models on devices: estimates as tables, figures, timelines and pages, alone or side by side."""
