"""Conversion of the configuration of Connaisseur."""
