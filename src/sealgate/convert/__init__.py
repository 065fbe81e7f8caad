"""Conversions: what other tools' policies say, said in objects of ours."""

from sealgate.convert.containers.policy import convert_containers_policy
from sealgate.convert.files import convert_texts, to_yaml
from sealgate.convert.kritis.objects import convert_kritis
from sealgate.convert.results import Conversion, Note

__all__ = ["Conversion", "Note", "convert_containers_policy", "convert_kritis", "convert_texts", "to_yaml"]
