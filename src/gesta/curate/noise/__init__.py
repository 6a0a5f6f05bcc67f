"""Noisy classes: labels that are wrong, classes that overlap, and several groups inside one class."""
