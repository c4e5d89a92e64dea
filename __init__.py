"""Tamis: choose what to fine-tune on. Score a pool, pick a budget, export a curated dataset."""

__version__ = "0.1.0"
