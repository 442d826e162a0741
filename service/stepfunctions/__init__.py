"""A client for AWS Step Functions: signed calls, retries, and reads within the API quotas."""
