"""Conversions: what other tools' policies say, said in objects of ours."""

from sealgate.policies.convert.containers_policy import convert_containers_policy
from sealgate.policies.convert.files import convert_texts, to_yaml
from sealgate.policies.convert.kritis import convert_kritis
from sealgate.policies.convert.results import Conversion, Note

__all__ = ["Conversion", "Note", "convert_containers_policy", "convert_kritis", "convert_texts", "to_yaml"]
