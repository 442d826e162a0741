data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  name       = var.service_name
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id # of the provider; `name` is deprecated in its version 6

  container_name = "service"
  container_port = 8080

  # The service's metrics, as service/telemetry/emf.py writes them (Embedded Metric Format). Scaling, alarms and the
  # dashboard use these names.
  metrics = {
    namespace       = "SyncFront"
    dimensions      = { service = var.service_name }
    in_flight       = "RequestsInFlight"
    max_in_flight   = "MaxInFlight"
    requests        = "Requests"
    rejected        = "Rejected"
    faults          = "Faults"
    link_up         = "LinkUp"
    reconnects      = "Reconnects"
    bridge_overhead = "BridgeOverheadMilliseconds"
    recovered       = "Recovered"
    throttled_calls = "ThrottledCalls"
    event_loop_lag  = "EventLoopLagMilliseconds"
    draining        = "Draining"
  }
}
