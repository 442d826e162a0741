"""A synchronous HTTP front for asynchronous AWS Step Functions workflows."""
