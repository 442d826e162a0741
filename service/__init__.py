"""A synchronous HTTP front for asynchronous AWS Step Functions workflows."""

__version__ = "0.1.0"
"""The only place that states the version: packaging, the image and the API description read it here."""
