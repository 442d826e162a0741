# All roles in one file, so that they can be reviewed together. Policies are plain JSON, so that tests can read them in a plan.
locals {
  # Only the service itself may assume its role, and only on behalf of this account (against the confused deputy). Nothing
  # documents that API Gateway and AppSync name the account when they write logs, and all that these roles may do is that.
  assume = { for service in ["ecs-tasks", "states", "appsync", "events", "apigateway", "vpc-flow-logs"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "${service}.amazonaws.com" }
      Condition = contains(["apigateway", "appsync"], service) ? {} : { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  }) }

  # Secrets are encrypted with the system's own key, which roles may use through Secrets Manager only.
  decrypt_secrets = {
    Sid       = "DecryptSecrets"
    Effect    = "Allow"
    Action    = "kms:Decrypt"
    Resource  = local.kms_key_arn
    Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
  }

  # EventBridge may store the credentials of a connection in another secret at any time; only the name stays.
  connection_secrets = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:events!connection/${split("/", local.appsync.connection_arn)[1]}/*"
}

# The task role: for the service itself.
resource "aws_iam_role" "task" {
  name                 = "${local.name}-task"
  description          = "What the service may do"
  assume_role_policy   = local.assume["ecs-tasks"]
  permissions_boundary = var.permissions_boundary_arn
}

locals {
  # "Task IAM role permissions" for ECS Exec, Amazon ECS Developer Guide.
  execute_command_statements = var.enable_execute_command ? [{
    Sid      = "ExecuteCommand"
    Effect   = "Allow"
    Action   = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
    Resource = "*" # these actions take no resource
  }] : []

  task_statements = {
    always = [
      {
        Sid      = "StartAndList"
        Effect   = "Allow"
        Action   = ["states:StartExecution", "states:ListExecutions", "states:DescribeStateMachine"]
        Resource = distinct(concat(values(local.unqualified), values(local.workflows)[*].arn))
      },
      {
        Sid      = "ReadStopAndRetry"
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution", "states:RedriveExecution"]
        Resource = distinct([for arn in values(local.unqualified) : "${replace(arn, ":stateMachine:", ":execution:")}:*"])
      },
    ]
    api_key = [
      {
        Sid      = "ReadApiKey"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = local.appsync.api_key_secret
      },
      local.decrypt_secrets,
    ]
    iam = [
      {
        Sid      = "Connect"
        Effect   = "Allow"
        Action   = "appsync:EventConnect"
        Resource = local.appsync.api_arn
      },
      {
        Sid      = "Subscribe"
        Effect   = "Allow"
        Action   = "appsync:EventSubscribe"
        Resource = local.appsync.namespace_arn
      },
    ]
  }
}

resource "aws_iam_role_policy" "task" {
  name = "service"
  role = aws_iam_role.task.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.task_statements.always, local.task_statements[var.appsync_auth], local.execute_command_statements)
  })
}

# The execution role: for ECS, which starts the tasks.
resource "aws_iam_role" "execution" {
  name                 = "${local.name}-execution"
  description          = "What ECS needs to start tasks of the service"
  assume_role_policy   = local.assume["ecs-tasks"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  name = "start-tasks"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*" # this action takes no resource
      },
      {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.image_repository_arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.main["service"].arn}:*"
      },
      {
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = values(local.secrets)
      },
      local.decrypt_secrets,
    ]
  })
}

# The state machines: those of workflows, and the relay. In mode `event` a workflow does not publish.
locals {
  publishers = concat([local.relay_arn], [for machine in local.machines : "${local.machine_prefix}${machine.name}" if machine.input == "envelope"])

  publisher_statements = { for arn in local.publishers : arn => [
    {
      Sid      = "Publish"
      Effect   = "Allow"
      Action   = "states:InvokeHTTPEndpoint"
      Resource = arn
      Condition = {
        StringEquals = {
          "states:HTTPMethod"   = "POST"
          "states:HTTPEndpoint" = local.publish_url
        }
      }
    },
    {
      Sid      = "UseConnection"
      Effect   = "Allow"
      Action   = "events:RetrieveConnectionCredentials"
      Resource = local.appsync.connection_arn
    },
    {
      Sid      = "ReadConnectionSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
      Resource = local.connection_secrets
    },
  ] }

  observed_statements = [
    {
      Sid    = "DeliverLogs"
      Effect = "Allow"
      Action = [
        "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
      ]
      Resource = "*" # these actions take no resource
    },
    {
      Sid    = "Trace"
      Effect = "Allow"
      Action = [
        "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
      ]
      Resource = "*" # neither do those of X-Ray
    },
  ]
}

resource "aws_iam_role" "workflow" {
  for_each = local.machines

  name                 = "${local.name}-workflow${local.suffixes[each.key]}"
  description          = "What the workflow may do"
  assume_role_policy   = local.assume["states"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "workflow" {
  for_each = local.machines

  name = "workflow"
  role = aws_iam_role.workflow[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      lookup(local.publisher_statements, "${local.machine_prefix}${each.value.name}", []),
      local.observed_statements,
      [for statement in each.value.statements : { for key, value in {
        Effect    = "Allow"
        Action    = statement.actions
        Resource  = statement.resources
        Condition = length(statement.condition) > 0 ? statement.condition : null
      } : key => value if value != null }],
    )
  })
}

resource "aws_iam_role" "relay" {
  name                 = "${local.name}-relay"
  description          = "What the relay may do"
  assume_role_policy   = local.assume["states"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "relay" {
  name = "relay"
  role = aws_iam_role.relay.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.publisher_statements[local.relay_arn], local.observed_statements)
  })
}

# EventBridge, which starts the relay.
resource "aws_iam_role" "ended" {
  name                 = "${local.name}-ended"
  description          = "Lets EventBridge start the relay"
  assume_role_policy   = local.assume["events"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "ended" {
  name = "start"
  role = aws_iam_role.ended.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = local.relay_arn
    }]
  })
}

# AppSync's log, in the group that Terraform creates.
resource "aws_iam_role" "appsync_logs" {
  name                 = "${local.name}-appsync-logs"
  description          = "Lets AppSync write the log of the Event API"
  assume_role_policy   = local.assume["appsync"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "appsync_logs" {
  name = "write-logs"
  role = aws_iam_role.appsync_logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/appsync/apis/*" # the API does not exist yet, so its id is unknown
    }]
  })
}

# API Gateway's logs: one role for the whole account and region.
resource "aws_iam_role" "api_logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  name                 = "${local.name}-api-logs"
  description          = "Lets API Gateway write logs"
  assume_role_policy   = local.assume["apigateway"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "api_logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  role       = aws_iam_role.api_logs[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

# The Lambda authorizer.
resource "aws_iam_role" "authorizer" {
  count = var.api_authorization == "LAMBDA" ? 1 : 0

  name                 = "${local.name}-authorizer"
  description          = "Lets API Gateway call the Lambda authorizer"
  assume_role_policy   = local.assume["apigateway"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "authorizer" {
  count = var.api_authorization == "LAMBDA" ? 1 : 0

  name = "authorize"
  role = aws_iam_role.authorizer[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "lambda:InvokeFunction"
      Resource = var.api_authorizer_arn
    }]
  })
}

# The network's log.
resource "aws_iam_role" "flow_logs" {
  count = local.create_vpc ? 1 : 0

  name                 = "${local.name}-flow-logs"
  description          = "Lets the VPC write its flow log"
  assume_role_policy   = local.assume["vpc-flow-logs"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "flow_logs" {
  count = local.create_vpc ? 1 : 0

  name = "write-logs"
  role = aws_iam_role.flow_logs[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "${aws_cloudwatch_log_group.main["network"].arn}:*"
      },
      {
        Sid      = "FindLogGroup"
        Effect   = "Allow"
        Action   = "logs:DescribeLogGroups"
        Resource = "*" # VPC flow logs ask for all groups
      },
    ]
  })
}
