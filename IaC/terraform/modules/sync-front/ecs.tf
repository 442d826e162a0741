locals {
  # The validation of image_uri guarantees that exactly one of the two is set.
  image = var.image_uri != null ? var.image_uri : "${aws_ecr_repository.service.repository_url}:${coalesce(var.image_tag, "none")}"

  # An image_uri may name a private repository of ECR, in any account and region. Other registries need no permission.
  image_repository_parts = try(regex("^([0-9]{12})\\.dkr[.-]ecr(?:-fips)?\\.([a-z0-9-]+)\\.(?:amazonaws\\.com(?:\\.cn)?|on\\.aws)/([^:@]+)", var.image_uri), null)
  image_repository_arn   = local.image_repository_parts == null ? aws_ecr_repository.service.arn : format("arn:%s:ecr:%s:%s:repository/%s", local.partition, local.image_repository_parts[1], local.image_repository_parts[0], local.image_repository_parts[2])

  # Few imports, because this starts a process every half minute.
  liveness_check = join("; ", [
    "import http.client, sys",
    "connection = http.client.HTTPConnection('127.0.0.1:${local.container_port}', timeout=4)",
    "connection.request('GET', '/healthz')",
    "sys.exit(connection.getresponse().status != 200)",
  ])

  environment = merge(
    {
      SERVICE_NAME         = var.service_name # dimension of the metrics
      EMF_INTERVAL         = 60               # period of the metrics
      PORT                 = local.container_port
      WORKFLOWS            = local.workflow_settings
      APPSYNC_HTTP_URL     = local.publish_url
      APPSYNC_REALTIME_URL = "wss://${local.appsync.host_realtime}/event/realtime"
      APPSYNC_NAMESPACE    = var.appsync_namespace
      APPSYNC_AUTH         = var.appsync_auth
      RESPONSE_TIMEOUT     = local.timeouts.response
      STREAM_TIMEOUT       = local.timeouts.stream
      KEEP_ALIVE_TIMEOUT   = local.timeouts.keep_alive
      DRAIN_DELAY          = local.timeouts.drain_delay
      DRAIN_TIMEOUT        = local.timeouts.drain
      MAX_IN_FLIGHT        = var.max_in_flight
      STAGE_PREFIX         = var.stage_name
      ON_CLIENT_GONE       = var.on_client_gone
      DESCRIBE_QUOTA       = var.step_functions_quotas.describe
      LIST_QUOTA           = var.step_functions_quotas.list
      HISTORY_QUOTA        = var.step_functions_quotas.history
      LOG_LEVEL            = var.log_level
      LOG_FORMAT           = "json"
    },
    # The service reads the key itself, and again when AppSync refuses it, so a rotation needs no new tasks.
    var.appsync_auth == "api_key" ? { APPSYNC_API_KEY_SECRET = local.appsync.api_key_secret } : {},
    length(var.cors_origins) > 0 ? { CORS_ORIGINS = join(",", var.cors_origins) } : {},
    local.caller == null ? {} : { CALLER_HEADER = local.caller_header, CALLER_SHARE = var.caller_share },
    var.caller_rate == null ? {} : { CALLER_RATE = var.caller_rate },
    var.read_foreign_executions ? { READ_FOREIGN_EXECUTIONS = true } : {},
  )

  # ECS reads them when a task starts. Without them, the service would take the API key instead.
  secrets = {
    IDEMPOTENCY_SECRET = local.appsync.idempotency_secret
    ID_SECRETS         = local.appsync.id_secrets
  }
}

resource "aws_ecs_cluster" "main" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# Without Spot, the service needs no providers of capacity.
resource "aws_ecs_cluster_capacity_providers" "main" {
  count = var.fargate_spot_percent > 0 ? 1 : 0

  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_ecs_task_definition" "service" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_size.cpu
  memory                   = var.task_size.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  skip_destroy             = true # ECS deploys no revision that was deregistered, so a rollback needs the one before

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name                   = local.container_name
    image                  = local.image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = !var.enable_execute_command # the agent of ECS Exec writes
    privileged             = false
    linuxParameters        = { capabilities = { add = [], drop = ["ALL"] } } # without `add`, each plan would replace the task: ECS returns it
    ulimits                = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
    portMappings           = [{ containerPort = local.container_port, hostPort = local.container_port, protocol = "tcp" }]
    environment            = [for name in sort(keys(local.environment)) : { name = name, value = tostring(local.environment[name]) }]
    secrets                = [for name in sort(keys(local.secrets)) : { name = name, valueFrom = local.secrets[name] }]
    dockerLabels           = { id-secrets = join(" ", var.id_secrets) } # a rotation needs new tasks, because only those read the new list

    stopTimeout = local.timeouts.stop
    # Liveness only. Readiness is up to the load balancer: a task that is not ready must not be killed for it.
    healthCheck = {
      command     = ["CMD", "python", "-S", "-c", local.liveness_check]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 15
    }

    # A slow log must never delay a request.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.main["service"].name
        awslogs-region        = local.region
        awslogs-stream-prefix = local.container_name
        mode                  = "non-blocking"
        max-buffer-size       = "25m"
      }
    }
  }])

  lifecycle {
    precondition {
      # A task definition may have 64 KiB in all ("Amazon ECS service quotas", Amazon ECS Developer Guide). Base64 has four
      # characters for three bytes.
      condition     = length(base64encode(local.workflow_settings)) / 4 * 3 <= 32 * 1024
      error_message = "workflows has more than 32 KiB with its schemas, and a task definition has room for 64 KiB in all. Leave out what callers need not know (result_schema), or hand it to the tasks as a secret: IaC/README.md, \"Several workflows\"."
    }
    precondition {
      condition     = alltrue([for arn in values(local.unqualified) : startswith(arn, local.machine_prefix)])
      error_message = "All workflows must be of the account and region of this deployment: status events of others do not reach its rules."
    }
  }

  # Nothing may run with a broken timeout chain.
  depends_on = [terraform_data.timeout_chain]
}

resource "aws_ecs_service" "main" {
  name            = local.name
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.service.arn
  desired_count   = var.task_count.min
  launch_type     = var.fargate_spot_percent > 0 ? null : "FARGATE"
  propagate_tags  = "SERVICE"

  # Otherwise the provider would replace the service to change the percentage of Spot.
  force_new_deployment   = var.fargate_spot_percent > 0 ? true : null
  wait_for_steady_state  = var.wait_for_steady_state
  enable_execute_command = var.enable_execute_command

  dynamic "capacity_provider_strategy" {
    # `base` is a number of tasks that come first, whatever the weights.
    for_each = var.fargate_spot_percent > 0 ? [
      { name = "FARGATE", base = 1, weight = 100 - var.fargate_spot_percent },
      { name = "FARGATE_SPOT", base = 0, weight = var.fargate_spot_percent },
    ] : []

    content {
      capacity_provider = capacity_provider_strategy.value.name
      base              = capacity_provider_strategy.value.base
      weight            = capacity_provider_strategy.value.weight
    }
  }

  # New tasks take over before old ones stop. ECS rolls back a deployment that fails or that has faults.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30
  availability_zone_rebalancing      = "ENABLED"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = [aws_cloudwatch_metric_alarm.main["faults"].alarm_name]
  }

  network_configuration {
    subnets          = local.private_subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.service.arn
    container_name   = local.container_name
    container_port   = local.container_port
  }

  lifecycle {
    ignore_changes = [desired_count] # autoscaling changes it
  }

  # A target group accepts targets only when a listener uses it. Without the policies, the first tasks would fail.
  depends_on = [
    aws_lb_listener.service,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.task,
    aws_sfn_state_machine.workflow,
    aws_ecs_cluster_capacity_providers.main,
  ]
}
