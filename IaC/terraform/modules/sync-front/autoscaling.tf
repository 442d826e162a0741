# A request waits for seconds and costs about a millisecond of CPU, so requests in flight show load long before CPU does.
resource "aws_appautoscaling_target" "service" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.main.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.task_count.min
  max_capacity       = var.task_count.max
}

resource "aws_appautoscaling_policy" "in_flight" {
  name               = "${local.name}-in-flight"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service.service_namespace
  resource_id        = aws_appautoscaling_target.service.resource_id
  scalable_dimension = aws_appautoscaling_target.service.scalable_dimension

  target_tracking_scaling_policy_configuration {
    # Half of a task's limit. The other half is a reserve while new tasks start, or when a zone is lost.
    target_value       = floor(var.max_in_flight / 2)
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    # All tasks write the metric with the same dimension, so its average is the average over the tasks.
    customized_metric_specification {
      namespace   = local.metrics.namespace
      metric_name = local.metrics.in_flight
      statistic   = "Average"

      dynamic "dimensions" {
        for_each = local.metrics.dimensions

        content {
          name  = dimensions.key
          value = dimensions.value
        }
      }
    }
  }
}

# For load that does use CPU: short workflows, large bodies.
resource "aws_appautoscaling_policy" "cpu" {
  name               = "${local.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service.service_namespace
  resource_id        = aws_appautoscaling_target.service.resource_id
  scalable_dimension = aws_appautoscaling_target.service.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
