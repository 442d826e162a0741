# From the time when there was one workflow, `event`, which publishes its own successes.
moved {
  from = aws_sfn_state_machine.workflow
  to   = aws_sfn_state_machine.workflow["event"]
}

moved {
  from = aws_iam_role.workflow
  to   = aws_iam_role.workflow["event"]
}

moved {
  from = aws_iam_role_policy.workflow
  to   = aws_iam_role_policy.workflow["event"]
}

moved {
  from = aws_cloudwatch_event_rule.ended
  to   = aws_cloudwatch_event_rule.ended["envelope"]
}

moved {
  from = aws_cloudwatch_event_target.ended
  to   = aws_cloudwatch_event_target.ended["envelope"]
}
