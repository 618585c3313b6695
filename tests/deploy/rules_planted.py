"""Faults that were planted in the templates: each is found by a rule."""

TEMPLATE, ALARMS, SMOKE = "template.yaml", "infra/monitoring.yaml", "tests/deploy/smoke"
_PERMISSIONS = "".join(
    f"  Route{i}Permission:\n    Type: AWS::Lambda::Permission\n    Properties:\n      Action: lambda:InvokeFunction\n"
    "      FunctionName: !Ref ApiFunction.Alias\n      Principal: apigateway.amazonaws.com\n"
    f"      SourceArn: !Sub 'arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{HttpApi}}/*/GET/v1/{i}'\n"
    for i in range(40)
)

# The file, a text in it, another text, and a part of what the rule says.
PLANTED = [
    (TEMPLATE, "  ApiRole:\n", f"{_PERMISSIONS}  ApiRole:\n", "the permissions of ApiFunction have"),
    (TEMPLATE, "{Target: !Ref IngestFunction.Alias}", "{Target: !GetAtt IngestFunction.Arn}", "/v1/events leads past the alias"),
    (TEMPLATE, "FunctionName: !Ref ApiFunction.Alias", "FunctionName: !GetAtt ApiFunction.Arn", "ApiFunction is not invoked by the alias"),
    (TEMPLATE, "${Tracing} ${OnUnavailable}'", "${Tracing}'", "a new OnUnavailable makes no version"),
    (TEMPLATE, "${Tracing} ${AuditBucket}'", "${Tracing} ${AuditBucket} ${ConsoleUrl}'", "ConsoleUrl changes nothing of ResetFunction"),
    (TEMPLATE, "${LayoutGeneration} ${LogLevel} ${Tracing} ", "${LogLevel} ${Tracing} ", "a new LayoutGeneration makes no version"),
    (TEMPLATE, "${Tracing} ${MailSender} ${ConsoleUrl}", "${Tracing} ${MailSender} ${ConsoleUrl} ${ConsoleUrl}", "the description of NotifyFunctionVersion"),
    (TEMPLATE, "      MemorySize: 256\n      Timeout: 30\n", "      MemorySize: 512\n      Timeout: 30\n", "512 MB makes no version of NotifyFunction"),
    (TEMPLATE, "      Timeout: 15\n", "      Timeout: 5\n", "5 s makes no version of IngestFunction"),
    (TEMPLATE, "BUS_NAME: !Ref Bus", "BUS_NAME: toktra", "BUS_NAME=toktra makes no version of NotifyFunction"),
    (TEMPLATE, "AllAtOnce: {IsGradual: 'false'}", "AllAtOnce: {IsGradual: 'true'}", "AllAtOnce makes 6 deployment groups"),
    (TEMPLATE, "      Alarms: [!If [IsGradual, !Ref UpgradeAlarm, !Ref AWS::NoValue]]\n", "      Alarms: []\n", "no alarm takes"),
    (TEMPLATE, "Value: !Ref EvaluateFunction}]}}", "Value: !Ref NotifyFunction}]}}", "looks at EvaluateFunction"),
    (TEMPLATE, "Value: !Ref EvaluateFunction}]}}", "Value: !Ref EvaluateFunction.Alias}]}}", "wait for each other"),
    (TEMPLATE, "      AlarmActions: [!Ref Alarms]\n", "", "UpgradeAlarm tells nobody by AlarmActions"),
    (ALARMS, "      OKActions: [!Ref Alarms]\n", "", "PanickedAlarm tells nobody by OKActions"),
    (ALARMS, "      Namespace: AWS/ApiGateway\n", "      Namespace: AWS/DynamoDB\n", "AnswersFailedAlarm waits for data"),
    (ALARMS, "Expression: 'FILL(counted, 0)'", "Expression: counted", "ScheduleMissingAlarm waits for data"),
    (TEMPLATE, "{Name: ErrorType, Value: store_failed}", "{Name: ErrorType, Value: panicked}", "lets a version pass that has store_failed"),
    (TEMPLATE, "Value: decision_without_database}", "Value: panicked}", "lets a version pass that has decision_without_database"),
    (TEMPLATE, "unreadable_data, unanswered])", "unanswered])", "does not count unreadable_data"),
    (TEMPLATE, "Value: unreadable_data}]}}\n", "Value: unreadable_data}]}}\n        - {Id: again, MetricStat: {Stat: Sum, Period: 60, Metric: {Namespace: Toktra, MetricName: Errors}}}\n", "UpgradeAlarm has 11 metrics"),
    (TEMPLATE, "MAIL_CONFIGURATION_SET: !If [SendsMail, !Ref MailConfigurationSet, '']", "MAIL_CONFIGURATION_SET: !Ref MailConfigurationSet", "NotifyFunction needs MailConfigurationSet"),
    (TEMPLATE, "      Queues: [!Ref NoticesQueue]\n", "      Queues: [!Ref NoticesQueue, !Ref NoticesDeadLetters]\n", "NoticesQueuePolicy is of 2 queues"),
    (TEMPLATE, "            Resource: !GetAtt NoticesQueue.Arn\n            Condition:", "            Resource: [!GetAtt NoticesQueue.Arn, !GetAtt NoticesDeadLetters.Arn]\n            Condition:", "about 2 queues"),
    (TEMPLATE, "            OmitName: true\n", "", "a second stack has another ResetFunctionHourly"),
    (TEMPLATE, "Name: !Sub '${AWS::StackName}-mails'", "Name: !Sub '${AWS::StackName}-mails-of-all'", "the name of MailConfigurationSet may have"),
    (TEMPLATE, "LogGroupName: !Sub '/aws/vendedlogs/${AWS::StackName}/api'", "LogGroupName: /aws/vendedlogs/toktra", "a second stack has another AccessLogs"),
    (TEMPLATE, "/aws/vendedlogs/", "/toktra/", "AccessLogs costs a part"),
    (TEMPLATE, '"source":"$context.identity.sourceIp",', "", "the access log has ["),
    (TEMPLATE, "$context.identity.sourceIp", "$context.identity.userAgent", "more than anybody needs"),
    (TEMPLATE, "    MaxLength: 1000\n", "    MaxLength: 2000\n", "the variables of NotifyFunction may have"),
    (TEMPLATE, "    MaxLength: 400\n", "", "MailText has no longest value"),
    (TEMPLATE, "      RecursiveLoop: Allow\n", "", "NotifyFunction sends to its own trigger"),
    (TEMPLATE, " ${Tracing}'\n", " ${Tracing}'\n      RecursiveLoop: Allow\n", "sends to no trigger of its own"),
    (ALARMS, "      MetricName: RecursiveInvocationsDropped\n", "      MetricName: Errors\n", "no alarm of the ended invocations of NotifyFunction"),
    (ALARMS, "DashboardName: !Sub '${Stack}'", "DashboardName: toktra", "a second stack has another Dashboard"),
    (TEMPLATE, "    Type: AWS::SES::ConfigurationSet\n    Condition: SendsMail\n", "    Type: AWS::SES::ConfigurationSet\n", "MailConfigurationSet is made where nobody sends"),
    (TEMPLATE, "    AllowedPattern: '\\*|https?://", "    AllowedPattern: '\\*|[a-z-]+://", "CorsOrigins takes 'chrome-extension://abc'"),
    (TEMPLATE, "    AllowedPattern: '|Z[A-Z0-9]+'\n", "", "DomainHostedZone takes"),
    (TEMPLATE, "      LogLevel: {default: Level of logs}\n", "", "LogLevel has no group, no label"),
    (TEMPLATE, "    Default: 5\n    MinValue: 2", "    Default: 10\n    MinValue: 2", "the queues take 12 of the 10"),
    (TEMPLATE, "!If [HasReservedConcurrency, !Ref PreflightReservedConcurrency, !Ref AWS::NoValue]", "5", "PreflightFunction reserves"),
    (TEMPLATE, "eu-north-1, ", "", "with a budget the stack fails in eu-north-1"),
    (TEMPLATE, "eu-north-1, ", "eu-north-1, eu-west-1, ", "there are budgets in eu-west-1"),
    (SMOKE, "AT_ONCE = 3", "AT_ONCE = 16", "the smoke test asks 16 at once"),
    ("samconfig.toml", 'tags = "project=toktra"\n', "", "nothing says whose"),
]
