"""Beam graphs and the command line; the only package that imports apache_beam."""
