# One deployment with every option that a production account may need. It is complete on purpose: most deployments set a
# few of these arguments. The certificate, the hosted zone, the key and the policy exist already.
terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = { Service = "orders-front", Environment = "production" }
  }
}

data "aws_caller_identity" "current" {}

locals {
  states = "arn:aws:states:us-east-1:${data.aws_caller_identity.current.account_id}"
  events = "arn:aws:events:us-east-1:${data.aws_caller_identity.current.account_id}"
}

resource "aws_sns_topic" "on_call" {
  #checkov:skip=CKV_AWS_26:alarms contain names and numbers, but no data of callers
  name = "orders-front-on-call"
}

module "sync_front" {
  source = "../../modules/sync-front"

  service_name = "orders-front"
  image_tag    = var.image_tag

  # POST /checkout starts a state machine that runs a second one, POST /quote the second one alone. Both are made here, and
  # POST /billing/runs starts one that exists already.
  workflows = {
    checkout = {
      definition     = "${path.module}/../../../../examples/checkout.asl.json"
      request_schema = "${path.module}/../../../../examples/three-steps.schema.json"
      max_in_flight  = 8000
      errors         = { OutOfStock = 409 }
      role_statements = [
        { actions = ["states:StartExecution"], resources = ["${local.states}:stateMachine:orders-front-workflow-quote"] },
        { actions = ["states:DescribeExecution", "states:StopExecution"], resources = ["${local.states}:execution:orders-front-workflow-quote:*"] },
        # Step Functions hears of the second one's end by a rule of its own.
        { actions = ["events:PutTargets", "events:PutRule", "events:DescribeRule"], resources = ["${local.events}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"] },
      ]
    }
    quote = {
      definition     = "${path.module}/../../../../examples/quote.asl.json"
      input          = "event"
      request_schema = "${path.module}/../../../../examples/three-steps.schema.json"
      errors         = { OutOfStock = 409 }
    }
    billing = {
      state_machine_arn = var.billing_state_machine_arn
      path              = "/billing/runs"
      input             = "event"
      response_timeout  = 120
      on_client_gone    = "stop"
      errors            = { AlreadyBilled = 409, "Validation*" = 422 }
    }
  }

  # The API: signed requests to a name of one's own. All principals of an account are one caller.
  stage_name        = "v1"
  api_authorization = "AWS_IAM"
  api_caller        = "context.identity.accountId"
  api_throttle      = { rate = 200, burst = 400 }
  custom_domain = {
    domain_name     = "orders.example.com"
    certificate_arn = var.certificate_arn
    hosted_zone_id  = var.hosted_zone_id
  }

  # The network: three zones that do not depend on each other.
  zone_count           = 3
  nat_gateway_per_zone = true

  # The tasks: half of them on Spot, apart from the first one.
  task_size             = { cpu = 1024, memory = 2048 }
  task_count            = { min = 3, max = 30 }
  fargate_spot_percent  = 50
  wait_for_steady_state = true

  # What the account prescribes.
  kms_key_arn              = var.kms_key_arn
  permissions_boundary_arn = var.permissions_boundary_arn
  log_retention_days       = 731

  alarm_topic_arns = [aws_sns_topic.on_call.arn]
}

output "api_endpoint" {
  description = "Base URL of the API."
  value       = module.sync_front.api_endpoint
}
