# The important IAM statements, in full: any additional permission has to be added to this file as well.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "least_privilege" {
  plan_options {
    target = [
      aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_iam_role_policy.workflow, aws_iam_role_policy.relay,
      aws_iam_role_policy.ended, aws_iam_role_policy.appsync_logs, aws_iam_role_policy.flow_logs,
    ]
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.task.policy).Statement) == jsonencode([
      {
        Sid      = "StartAndList", Effect = "Allow"
        Action   = ["states:StartExecution", "states:ListExecutions", "states:DescribeStateMachine"]
        Resource = ["arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"]
      },
      {
        Sid      = "ReadStopAndRetry", Effect = "Allow"
        Action   = ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution", "states:RedriveExecution"]
        Resource = ["arn:aws:states:us-east-1:123456789012:execution:event-workflow:*"]
      },
      {
        Sid      = "Connect", Effect = "Allow"
        Action   = "appsync:EventConnect"
        Resource = "arn:aws:appsync:us-east-1:123456789012:apis/api123"
      },
      {
        Sid      = "Subscribe", Effect = "Allow"
        Action   = "appsync:EventSubscribe"
        Resource = "arn:aws:appsync:us-east-1:123456789012:apis/api123/channelNamespace/AsyncEvents"
      },
    ])
    error_message = "The task may start, list, read and stop executions of this state machine, and subscribe. It may neither publish nor read a secret."
  }
  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.workflow["event"].policy).Statement[0]) == jsonencode({
      Sid      = "Publish", Effect = "Allow"
      Action   = "states:InvokeHTTPEndpoint"
      Resource = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
      Condition = { StringEquals = {
        "states:HTTPMethod"   = "POST"
        "states:HTTPEndpoint" = "https://abc.appsync-api.us-east-1.amazonaws.com/event"
      } }
    })
    error_message = "The workflow may call one URL with one method."
  }
  assert {
    condition     = jsonencode([for statement in jsondecode(aws_iam_role_policy.workflow["event"].policy).Statement : statement.Sid if statement.Resource == "*"]) == jsonencode(["DeliverLogs", "Trace"])
    error_message = "Only actions that take no resource may be allowed on all resources."
  }
  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.workflow["event"].policy).Statement : statement.Sid => statement.Resource if statement.Resource != "*" }) == jsonencode({
      Publish              = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
      UseConnection        = "arn:aws:events:us-east-1:123456789012:connection/sync-front/11111111-2222-3333-4444-555555555555"
      ReadConnectionSecret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:events!connection/sync-front/*"
    })
    error_message = "The workflow may use this connection and its secret only."
  }
  assert {
    condition     = jsonencode([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Sid if statement.Resource == "*"]) == jsonencode(["LogIn"])
    error_message = "ECS may pull images, write logs and read secrets of this system only."
  }
  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "ReadSecrets"])) == toset([
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdSecrets-AbCdEf",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdempotencySecret-AbCdEf",
    ])
    error_message = "ECS may read the secrets for execution ids, and not the API key."
  }
  assert {
    condition     = jsonencode(jsondecode(aws_iam_role_policy.ended.policy).Statement) == jsonencode([{ Effect = "Allow", Action = "states:StartExecution", Resource = "arn:aws:states:us-east-1:123456789012:stateMachine:sync-front-relay" }])
    error_message = "EventBridge may start the relay, and nothing else."
  }
  assert {
    condition     = replace(aws_iam_role_policy.relay.policy, "stateMachine:sync-front-relay", "stateMachine:event-workflow") == aws_iam_role_policy.workflow["event"].policy
    error_message = "The relay may do what the workflow may do, each as itself."
  }
  assert {
    condition = alltrue([for policy in concat(
      [for role in [aws_iam_role_policy.task, aws_iam_role_policy.execution, aws_iam_role_policy.workflow["event"], aws_iam_role_policy.relay, aws_iam_role_policy.ended, aws_iam_role_policy.appsync_logs] : role.policy],
      [aws_iam_role_policy.flow_logs[0].policy],
    ) : !can(regex(":\\*\"", jsonencode([for statement in jsondecode(policy).Statement : statement.Action])))])
    error_message = "No action may contain a wildcard."
  }
  assert {
    condition = alltrue([for role in [aws_iam_role.task, aws_iam_role.execution, aws_iam_role.workflow["event"], aws_iam_role.relay, aws_iam_role.ended, aws_iam_role.flow_logs[0]] :
      jsondecode(role.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    ])
    error_message = "A service may assume a role only on behalf of this account."
  }
  assert {
    condition     = jsondecode(aws_iam_role.appsync_logs.assume_role_policy).Statement[0].Condition == {}
    error_message = "Nothing documents that AppSync names the account when it writes its log."
  }
}
