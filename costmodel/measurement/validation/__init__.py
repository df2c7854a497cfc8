"""Predictions beside what was measured: matching, errors by family, few-shot refinement."""
