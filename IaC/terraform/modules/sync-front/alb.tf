locals {
  listener_port = var.internal_tls == null ? 80 : 443
  # With TLS, the name must be in the certificate. Either way, requests go through the VPC link.
  balancer_url = var.internal_tls == null ? "http://${aws_lb.main.dns_name}" : "https://${var.internal_tls.domain_name}"
}

resource "aws_lb" "main" {
  #checkov:skip=CKV_AWS_150:it holds no data and one apply creates it again; protection would only break the documented destroy
  #checkov:skip=CKV_AWS_91:API Gateway is its only client and logs every request with status, error and latency; a bucket would store the same again
  name                       = local.name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = local.private_subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  idle_timeout               = local.timeouts.balancer_idle
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "service" {
  name        = local.name
  port        = local.container_port
  protocol    = "HTTP"
  target_type = "ip"
  vpc_id      = local.vpc_id

  deregistration_delay = local.timeouts.deregistration
  # Requests take seconds but hardly any CPU, so the number of open requests describes a task's load better than rotation.
  load_balancing_algorithm_type = "least_outstanding_requests"

  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "service" {
  load_balancer_arn = aws_lb.main.arn
  port              = local.listener_port
  protocol          = var.internal_tls == null ? "HTTP" : "HTTPS"
  certificate_arn   = try(var.internal_tls.certificate_arn, null)
  ssl_policy        = var.internal_tls == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}
