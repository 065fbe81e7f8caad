"""Conversions: what other tools' policies say, said in objects of ours."""
