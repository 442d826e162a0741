"""The process: command line, settings, composition, start and stop."""
