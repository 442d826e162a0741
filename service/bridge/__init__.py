"""Request and reply: start an execution, wait for its pushed result, recover what the push did not bring."""
