"""What is inside a file or folder of weights, found without loading any of it: `scan` accepts or refuses, and says why."""

from penstock.registry.scan.folder import scan
from penstock.registry.scan.report import Finding, Refused, Report, ScannedFile

__all__ = ["Finding", "Refused", "Report", "ScannedFile", "scan"]
