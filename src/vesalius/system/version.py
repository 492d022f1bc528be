"""The version, which a source tree knows without being installed."""

__version__ = "0.1.0"
