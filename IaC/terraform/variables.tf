variable "region" {
  description = "AWS region for all resources."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,3}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like us-east-1."
  }
}

variable "tags" {
  description = "Tags for all resources, in addition to Service and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false
}

# The variables of the module, which are the same ones.
variable "service_name" {
  description = "Name of the service and prefix of its resources' names. One deployment per name, account and region."
  type        = string
  default     = "sync-front"
  nullable    = false

  validation {
    # A load balancer's name may have at most 32 characters and must not begin with "internal-".
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.service_name)) && !startswith(var.service_name, "internal-")
    error_message = "service_name must have 2 to 24 lower-case letters, digits and dashes, begin with a letter, not end with a dash and not begin with \"internal-\"."
  }
}

variable "workflow_name" {
  description = "Name of the state machine of the workflow event; those of others begin with service_name."
  type        = string
  default     = "event-workflow"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.workflow_name))
    error_message = "workflow_name must have 1 to 80 letters, digits, dashes and underscores."
  }
}

variable "workflows" {
  description = "The workflows by name: a definition file, from which a state machine is made, or the ARN of an existing one. Without any there is the demonstration, named event. See Several workflows in the README."
  type = map(object({
    path            = optional(string)          # where requests go; by default / and the name
    definition      = optional(string)          # file of a definition in the States Language: a template
    definition_vars = optional(map(string), {}) # its variables, beside endpoint, connection_arn, partition and wait_seconds
    role_statements = optional(list(object({    # what the state machine may do, beside publishing and logging
      actions   = list(string)
      resources = list(string)
      condition = optional(map(map(list(string))), {})
    })), [])
    state_machine_arn = optional(string)             # instead of definition; a version or an alias is fine
    input             = optional(string, "envelope") # event: an execution's input is the request itself
    request_schema    = optional(string)             # files of JSON Schemas
    result_schema     = optional(string)
    check_results     = optional(bool, false) # whether results must match theirs
    response_timeout  = optional(number)      # seconds; what is left out is as in timeouts and in max_in_flight
    stream_timeout    = optional(number)
    max_in_flight     = optional(number) # how many of a task's max_in_flight may be for this workflow
    on_client_gone    = optional(string)
    progress          = optional(string)          # states: streams report the states that are entered
    errors            = optional(map(number), {}) # HTTP statuses of errors; a name that ends with * is a prefix
  }))
  default  = {}
  nullable = false

  validation {
    # With the longest service_name and a prefix, a role's name has the 64 characters that IAM allows.
    condition     = alltrue([for name in keys(var.workflows) : can(regex("^[a-z][a-z0-9-]{0,29}$", name))])
    error_message = "The names in workflows must have 1 to 30 lower-case letters, digits and dashes, and begin with a letter."
  }

  validation {
    condition     = alltrue([for workflow in var.workflows : (workflow.definition == null) != (workflow.state_machine_arn == null)])
    error_message = "Each of workflows needs either a definition or a state_machine_arn."
  }

  validation {
    condition     = alltrue([for workflow in var.workflows : can(regex("^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[^:]+(:[^:]+)?$", workflow.state_machine_arn)) if workflow.definition == null])
    error_message = "state_machine_arn of workflows must be the ARN of a state machine, or of a version or an alias of one."
  }

  validation {
    condition     = alltrue([for workflow in var.workflows : workflow.definition != null || length(workflow.definition_vars) + length(workflow.role_statements) == 0])
    error_message = "definition_vars and role_statements of workflows are for state machines that are made from a definition."
  }

  validation {
    condition     = alltrue([for workflow in var.workflows : !workflow.check_results || workflow.result_schema != null])
    error_message = "check_results of workflows needs a result_schema."
  }

  validation {
    condition     = alltrue([for name, workflow in var.workflows : can(regex("^(/[A-Za-z0-9._~-]+)+$", coalesce(workflow.path, "/${name}"))) && !can(regex("^/(healthz|readyz|metrics|openapi\\.json|docs|_local)(/|$)", coalesce(workflow.path, "/${name}")))])
    error_message = "path of workflows must look like /orders, and must not be one of the service's own: /healthz, /readyz, /metrics, /openapi.json, /docs, /_local."
  }

  validation {
    condition     = length(flatten([for name, workflow in var.workflows : [for other, another in var.workflows : other if name != other && startswith("${coalesce(workflow.path, "/${name}")}/", "${coalesce(another.path, "/${other}")}/")]])) == 0
    error_message = "No path in workflows may be the same as that of another workflow, or below it."
  }

  validation {
    condition     = alltrue([for workflow in var.workflows : contains(["envelope", "event"], workflow.input) && contains(["keep", "stop"], coalesce(workflow.on_client_gone, "keep")) && contains(["published", "states"], coalesce(workflow.progress, "states"))])
    error_message = "In workflows, input must be envelope or event, on_client_gone keep or stop, and progress published or states."
  }

  validation {
    condition     = alltrue(flatten([for workflow in var.workflows : [for number in [workflow.response_timeout, workflow.stream_timeout, workflow.max_in_flight] : number == null ? true : number >= 1 && floor(number) == number]]))
    error_message = "In workflows, response_timeout, stream_timeout and max_in_flight must be whole numbers, 1 or more."
  }

  validation {
    condition     = alltrue(flatten([for workflow in var.workflows : [for error, status in workflow.errors : can(regex("^[!-)+-~]+[*]?$|^[*]$", error)) && status >= 400 && status <= 599 && floor(status) == status]]))
    error_message = "errors of workflows must map names of errors, with a * at most at their ends, to statuses from 400 to 599."
  }
}

variable "image_tag" {
  description = "Tag of the image in the ECR repository that this configuration creates. Tags are immutable, so each release needs a new one. Required unless image_uri is set."
  type        = string
  default     = null

  validation {
    condition     = var.image_tag == null ? true : can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a valid tag other than \"latest\": a tag that moves cannot be deployed again or rolled back to."
  }
}

variable "image_uri" {
  description = "Image in another registry, by tag or digest, instead of image_tag."
  type        = string
  default     = null

  validation {
    condition     = var.image_uri == null ? true : can(regex("^[^\\s@:]+(:[0-9]+)?(/[^\\s@:]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.image_uri))
    error_message = "image_uri must be REPOSITORY:TAG or REPOSITORY@sha256:DIGEST."
  }

  validation {
    condition     = (var.image_tag == null) != (var.image_uri == null)
    error_message = "Exactly one of image_tag and image_uri must be set."
  }
}

variable "wait_seconds" {
  description = "Seconds that the demonstration workflow waits before it does its work."
  type        = number
  default     = 10
  nullable    = false

  validation {
    # The workflow's own TimeoutSeconds is 300, which has to leave room for every retry.
    condition     = var.wait_seconds >= 0 && var.wait_seconds <= 240 && floor(var.wait_seconds) == var.wait_seconds
    error_message = "wait_seconds must be a whole number from 0 to 240."
  }
}

variable "response_streaming" {
  description = "Whether API Gateway passes responses on as they come: requests may wait up to 285 s, and event streams take up to 890 s and arrive event by event. Otherwise a response has 29 s, unless your quota is higher, and a stream arrives as a whole at its end."
  type        = bool
  default     = true
  nullable    = false
}

variable "timeouts" {
  description = "The timeout chain, in seconds. What is left out follows from the waits, response and stream; a plan with a broken chain fails (timeouts.tf)."
  type = object({
    response       = optional(number, 25) # longest wait of a plain request (RESPONSE_TIMEOUT)
    stream         = optional(number)     # longest wait of an event stream (STREAM_TIMEOUT)
    api_gateway    = optional(number)     # API Gateway answers 504, or ends a stream
    balancer_idle  = optional(number)     # the load balancer closes a connection without traffic
    drain          = optional(number)     # after SIGTERM, time to answer the requests in flight (DRAIN_TIMEOUT)
    deregistration = optional(number)     # the load balancer keeps the open connections of a stopping task
    stop           = optional(number)     # after SIGTERM, time until ECS kills the task
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for seconds in values(var.timeouts) : seconds == null ? true : seconds >= 1 && floor(seconds) == seconds])
    error_message = "timeouts must be whole numbers of seconds, 1 or more."
  }
}

variable "stage_name" {
  description = "Stage of the API: the first segment of the public path."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.stage_name))
    error_message = "stage_name must have 1 to 128 letters, digits, dashes and underscores."
  }
}

variable "api_authorization" {
  description = "Who may call the API: NONE (anyone, within the limits of WAF and throttling), AWS_IAM (requests signed by a principal with execute-api:Invoke), API_KEY (holders of a key of api_usage_plans), LAMBDA or COGNITO (whom api_authorizer_arn accepts). See Who may call in the README."
  type        = string
  default     = "NONE"
  nullable    = false

  validation {
    condition     = contains(["NONE", "AWS_IAM", "API_KEY", "LAMBDA", "COGNITO"], var.api_authorization)
    error_message = "api_authorization must be NONE, AWS_IAM, API_KEY, LAMBDA or COGNITO."
  }
}

variable "api_authorizer_arn" {
  description = "ARN of the Lambda function or of the Cognito user pool that decides who may call, with api_authorization = LAMBDA or COGNITO."
  type        = string
  default     = null

  validation {
    condition = can(regex({
      LAMBDA  = "^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:"
      COGNITO = "^arn:aws[a-z-]*:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/"
    }[var.api_authorization], var.api_authorizer_arn)) || !contains(["LAMBDA", "COGNITO"], var.api_authorization) && var.api_authorizer_arn == null
    error_message = "api_authorizer_arn must be the ARN of a function with api_authorization = LAMBDA, that of a user pool with COGNITO, and null otherwise."
  }
}

variable "api_usage_plans" {
  description = "Usage plans by name: requests per second and burst for each key, a quota per DAY, WEEK or MONTH if there is one, and the names of the keys. The keys are created in any case, but required only with api_authorization = API_KEY."
  type = map(object({
    rate  = number
    burst = number
    quota = optional(object({ limit = number, period = string }))
    keys  = set(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in flatten([keys(var.api_usage_plans), [for plan in var.api_usage_plans : tolist(plan.keys)]]) : can(regex("^[a-z][a-z0-9-]{0,40}$", name))])
    error_message = "The names in api_usage_plans must have 1 to 41 lower-case letters, digits and dashes, and begin with a letter."
  }

  validation {
    condition     = alltrue([for plan in var.api_usage_plans : plan.rate > 0 && plan.burst >= 1 && (plan.quota == null ? true : plan.quota.limit >= 1 && contains(["DAY", "WEEK", "MONTH"], plan.quota.period))])
    error_message = "A plan of api_usage_plans needs a rate above 0, a burst of 1 or more, and, if it has a quota, a limit of 1 or more per DAY, WEEK or MONTH."
  }

  validation {
    condition     = length(flatten([for plan in var.api_usage_plans : tolist(plan.keys)])) == length(distinct(flatten([for plan in var.api_usage_plans : tolist(plan.keys)])))
    error_message = "A key can be in one of api_usage_plans only."
  }

  validation {
    condition     = var.api_authorization != "API_KEY" || length(flatten([for plan in var.api_usage_plans : tolist(plan.keys)])) > 0
    error_message = "With api_authorization = API_KEY, api_usage_plans needs a plan with a key, or nobody could call the API."
  }
}

variable "api_scopes" {
  description = "With api_authorization = COGNITO: OAuth scopes of which an access token needs one. Without scopes, callers send id tokens."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.api_scopes) == 0 || var.api_authorization == "COGNITO"
    error_message = "api_scopes needs api_authorization = COGNITO."
  }
}

variable "api_caller" {
  description = "Context variable of API Gateway that tells who calls; keys and ids belong to the caller. By default context.identity.userArn with AWS_IAM, context.identity.apiKeyId with API_KEY, context.authorizer.principalId with LAMBDA, and context.authorizer.claims.sub with COGNITO."
  type        = string
  default     = null

  validation {
    condition     = var.api_caller == null || var.api_authorization != "NONE"
    error_message = "api_caller needs another api_authorization than NONE: where nobody has to prove who they are, a caller could choose to be any other."
  }

  validation {
    # Only what API Gateway has verified itself: a caller could choose context.identity.userAgent, for example.
    condition = var.api_caller == null || var.api_authorization == "NONE" || can(regex({
      AWS_IAM = "^context\\.identity\\.(accountId|caller|cognitoIdentityId|user|userArn)$"
      API_KEY = "^context\\.identity\\.apiKeyId$"
      LAMBDA  = "^context\\.authorizer\\.[A-Za-z0-9_]+$"
      COGNITO = "^context\\.authorizer\\.claims\\.[A-Za-z0-9_:]+$"
    }[var.api_authorization], var.api_caller))
    error_message = "api_caller must be what api_authorization verifies: with AWS_IAM, userArn, user, caller, accountId or cognitoIdentityId of context.identity; with API_KEY, context.identity.apiKeyId; with LAMBDA, context.authorizer.NAME; with COGNITO, context.authorizer.claims.NAME."
  }
}

variable "cors_origins" {
  description = "Origins whose pages may call the API from a browser, such as https://app.example, or [\"*\"]."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.cors_origins) == 1 && try(var.cors_origins[0] == "*", false) || alltrue([for origin in var.cors_origins : can(regex("^[a-z][a-z0-9+.-]*://[a-z0-9.-]+(:[0-9]{1,5})?$", origin))])
    error_message = "cors_origins must be [\"*\"] or origins such as https://app.example, without a path."
  }
}

variable "api_throttle" {
  description = "Throttling in API Gateway: requests per second, and burst. Keep the rate below the account's quotas for Step Functions (see Quotas in the README)."
  type = object({
    rate  = optional(number, 50)
    burst = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api_throttle.rate >= 1 && var.api_throttle.burst >= var.api_throttle.rate
    error_message = "api_throttle.rate must be 1 or more, and burst at least rate."
  }
}

variable "waf_requests_per_ip" {
  description = "Requests that one IP address may send in five minutes before WAF blocks it. By default as many as api_throttle.rate allows in that time, because the callers of an API often share an address."
  type        = number
  default     = null

  validation {
    condition     = var.waf_requests_per_ip == null ? true : var.waf_requests_per_ip >= 10 && var.waf_requests_per_ip <= 2000000000
    error_message = "waf_requests_per_ip must be from 10 to 2000000000."
  }
}

variable "manage_api_gateway_account" {
  description = "Whether to set the role with which API Gateway writes logs. The setting is shared by the whole account and region: use false if something else manages it."
  type        = bool
  default     = true
  nullable    = false
}

variable "custom_domain" {
  description = "Domain name of your own for the API: the regional endpoint of API Gateway gets this name with an ACM certificate of the same region, and the hosted zone an alias to it. Without hosted_zone_id, create the DNS record yourself (output custom_domain_target). The URL is https://DOMAIN/STAGE."
  type = object({
    domain_name     = string
    certificate_arn = string
    hosted_zone_id  = optional(string)
  })
  default = null

  validation {
    condition     = var.custom_domain == null ? true : can(regex("^[a-z0-9*][a-z0-9.-]*\\.[a-z]{2,}$", var.custom_domain.domain_name)) && can(regex("^arn:aws[a-z-]*:acm:", var.custom_domain.certificate_arn))
    error_message = "custom_domain needs a domain name and the ARN of an ACM certificate."
  }
}

variable "existing_vpc" {
  description = "VPC to use instead of a new one. Its private subnets, in at least two zones, need access to the internet (NAT): AppSync Events has no private endpoint. With an interface endpoint for AppSync (appsync-api) and its private DNS in the VPC, tasks cannot reach it at all."
  type = object({
    id                 = string
    private_subnet_ids = list(string)
  })
  default = null

  validation {
    condition     = var.existing_vpc == null ? true : can(regex("^vpc-[0-9a-f]+$", var.existing_vpc.id)) && length(distinct(var.existing_vpc.private_subnet_ids)) >= 2
    error_message = "existing_vpc needs a VPC id and at least two different private subnets."
  }
}

variable "vpc_cidr" {
  description = "CIDR block of the new VPC."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 22, false)
    error_message = "vpc_cidr must be an IPv4 network from /16 to /22."
  }
}

variable "zone_count" {
  description = "Number of availability zones of the new VPC."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count must be 2 or 3: a load balancer needs two."
  }
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway per zone instead of a single one. It costs more, but the loss of a zone does not affect the others."
  type        = bool
  default     = false
  nullable    = false
}

variable "internal_tls" {
  description = "TLS between API Gateway and the load balancer: a publicly trusted ACM certificate, and the domain name in it that API Gateway connects to. Without it, this hop is plain HTTP inside the VPC."
  type = object({
    certificate_arn = string
    domain_name     = string
  })
  default = null

  validation {
    condition     = var.internal_tls == null ? true : can(regex("^arn:aws[a-z-]*:acm:", var.internal_tls.certificate_arn)) && can(regex("^[a-z0-9.-]+\\.[a-z]{2,}$", var.internal_tls.domain_name))
    error_message = "internal_tls needs the ARN of an ACM certificate and a domain name."
  }
}

variable "cpu_architecture" {
  description = "CPU architecture of the image: ARM64 (20 % cheaper on Fargate) or X86_64."
  type        = string
  default     = "ARM64"
  nullable    = false

  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "cpu_architecture must be ARM64 or X86_64."
  }
}

variable "task_size" {
  description = "Size of a task: cpu in units of 1/1024 vCPU (the service uses at most one core), memory in MiB."
  type = object({
    cpu    = optional(number, 512)
    memory = optional(number, 1024)
  })
  default  = {}
  nullable = false

  validation {
    # "Task CPU and memory", Amazon ECS Developer Guide.
    condition = contains(lookup({
      256  = [512, 1024, 2048]
      512  = [1024, 2048, 3072, 4096]
      1024 = [2048, 3072, 4096, 5120, 6144, 7168, 8192]
    }, var.task_size.cpu, []), var.task_size.memory)
    error_message = "task_size must be a size that Fargate has: cpu 256 with memory 512, 1024 or 2048; 512 with 1024, 2048, 3072 or 4096; 1024 with 2048 to 8192 in steps of 1024."
  }
}

variable "task_count" {
  description = "Minimum and maximum number of tasks."
  type = object({
    min = optional(number, 2)
    max = optional(number, 10)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.task_count.min >= 1 && var.task_count.max >= var.task_count.min
    error_message = "task_count.min must be 1 or more, and max at least min."
  }
}

variable "fargate_spot_percent" {
  description = "Percentage of the tasks that run on Fargate Spot, apart from one that never does. AWS may stop these with a notice of two minutes, in which they answer their requests in flight. To begin or end the use of Spot replaces the ECS service, and requests fail until its tasks are ready."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.fargate_spot_percent >= 0 && var.fargate_spot_percent <= 100 && floor(var.fargate_spot_percent) == var.fargate_spot_percent
    error_message = "fargate_spot_percent must be a whole number from 0 to 100."
  }
}

variable "wait_for_steady_state" {
  description = "Whether an apply waits until ECS has finished the deployment, and fails if it was rolled back."
  type        = bool
  default     = false
  nullable    = false
}

variable "enable_execute_command" {
  description = "ECS Exec, to run commands in tasks. Their file system is then writable, because the agent of ECS Exec needs that. The image has no shell; use python."
  type        = bool
  default     = false
  nullable    = false
}

variable "max_in_flight" {
  description = "Requests that a task has in flight before it answers 503. Scaling aims at half of it."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.max_in_flight >= 10 && var.max_in_flight <= 50000
    error_message = "max_in_flight must be from 10 to 50000: a task may have 65535 open files."
  }
}

variable "caller_share" {
  description = "The part of max_in_flight that each caller may have in flight at a task before 429. With api_authorization = NONE there are no callers to tell apart, and it does not apply."
  type        = number
  default     = 0.5
  nullable    = false

  validation {
    condition     = var.caller_share > 0 && var.caller_share <= 1
    error_message = "caller_share must be greater than 0, and at most 1."
  }
}

variable "caller_rate" {
  description = "Requests that each caller may send to a task before 429, as BUCKET SIZE/REFILL PER SECOND in whole numbers, such as 100/20. Without it there is no such limit; with api_authorization = NONE there cannot be one."
  type        = string
  default     = null

  validation {
    condition     = var.caller_rate == null || can(regex("^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$", var.caller_rate))
    error_message = "caller_rate must look like 100/20: a bucket's size and its refill per second."
  }

  validation {
    condition     = var.caller_rate == null || var.api_authorization != "NONE"
    error_message = "caller_rate needs another api_authorization than NONE: without it, all are one caller."
  }
}

variable "on_client_gone" {
  description = "What happens to an execution whose caller disconnects: keep or stop."
  type        = string
  default     = "keep"
  nullable    = false

  validation {
    condition     = contains(["keep", "stop"], var.on_client_gone)
    error_message = "on_client_gone must be keep or stop."
  }
}

variable "read_foreign_executions" {
  description = "Whether GET also reads executions that the service did not start, by their names (docs/ids.md). Only with api_authorization = NONE."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.read_foreign_executions || var.api_authorization == "NONE"
    error_message = "read_foreign_executions needs api_authorization = NONE: the service starts only with one of both, because it would show every caller's executions."
  }
}

variable "log_level" {
  description = "Log level of the service."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a period that CloudWatch Logs supports: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "kms_key_arn" {
  description = "KMS key to use for stored data instead of a new one. Its policy must allow IAM policies of the account, and CloudWatch Logs of the region, to use it (kms.tf has the statements)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, not of an alias."
  }
}

variable "permissions_boundary_arn" {
  description = "IAM policy to set as the permissions boundary of all roles, where an account requires one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy."
  }
}

variable "appsync_namespace" {
  description = "AppSync channel namespace of the reply channels."
  type        = string
  default     = "AsyncEvents"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$", var.appsync_namespace))
    error_message = "appsync_namespace must have 1 to 50 letters, digits and dashes, and neither begin nor end with a dash."
  }
}

variable "appsync_auth" {
  description = "How the service authenticates to AppSync: iam (its task role; the API key can then only publish), or api_key (whoever holds the key can then read every reply)."
  type        = string
  default     = "iam"
  nullable    = false

  validation {
    condition     = contains(["api_key", "iam"], var.appsync_auth)
    error_message = "appsync_auth must be api_key or iam."
  }
}

variable "appsync_api_keys" {
  description = "The AppSync API keys that exist, the one in use first: [\"a\"] or [\"b\"], or both during a rotation (see the README)."
  type        = list(string)
  default     = ["a"]
  nullable    = false

  validation {
    condition     = contains(["a", "b", "a b", "b a"], join(" ", var.appsync_api_keys))
    error_message = "appsync_api_keys must be [\"a\"], [\"b\"], [\"a\", \"b\"] or [\"b\", \"a\"]."
  }
}

variable "id_secrets" {
  description = "The secrets for execution ids that exist, the one that tags new ids first: [\"a\"] or [\"b\"], or both during a rotation (see the README)."
  type        = list(string)
  default     = ["a"]
  nullable    = false

  validation {
    condition     = contains(["a", "b", "a b", "b a"], join(" ", var.id_secrets))
    error_message = "id_secrets must be [\"a\"], [\"b\"], [\"a\", \"b\"] or [\"b\", \"a\"]."
  }
}

variable "step_functions_quotas" {
  description = "Quotas of Step Functions' read calls in this account and region, as BUCKET SIZE/REFILL PER SECOND in whole numbers. Small regions have 250/10, 100/2 and 400/20."
  type = object({
    describe = optional(string, "300/15")
    list     = optional(string, "200/5")
    history  = optional(string, "400/20")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for quota in values(var.step_functions_quotas) : can(regex("^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$", quota))])
    error_message = "step_functions_quotas must look like 300/15."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics (or other alarm actions) to notify when an alarm starts and ends."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:aws[a-z-]*:[a-z0-9-]+:", arn))])
    error_message = "alarm_topic_arns must be ARNs."
  }
}
