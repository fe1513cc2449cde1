"""Tests of the Python binding: ``python3 -m unittest discover -s bindings/python/tests -t bindings/python``."""
