"""Creates and deletes the stacks of deploy/aws on moto, in this process, and looks at what there is in between.

What moto does not make (a group's rules of egress, what a bucket keeps from the public, ElastiCache, autoscaling, alarms) is looked at in the template.
"""

import logging
import os
import sys
import warnings

os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="eu-central-1")
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import boto3
from cfnlint.decode import cfn_yaml
from moto import mock_aws
from moto.ec2.models.route_tables import RouteTable

ARN = "arn:aws:{}:eu-central-1:123456789012:{}"
# What moto cannot resolve: names with two dots, and attributes of what it does not make.
UNKNOWN = {
    "${Database.Endpoint.Address}": "database.internal",
    "${Database.MasterUserSecret.SecretArn}": ARN.format("secretsmanager", "secret:rds"),
    "!GetAtt Database.MasterUserSecret.SecretArn": ARN.format("secretsmanager", "secret:rds"),
    "!GetAtt Cache.PrimaryEndPoint.Address": "cache.internal",
    "${Service.Name}": "service",
}
# moto forgets tables of routes when it deletes, and keeps the VPC because of them.
def delete_table(table, *_):
    table.associations.clear()
    table.ec2_backend.delete_route_table(table.id)


RouteTable.delete = delete_table
failures = []


def expect(what, found, wanted):
    if found != wanted:
        failures.append(f"{what}: {found!r} instead of {wanted!r}")


def rules(permissions, names):
    """A set of (protocol, first port, last port, from where)."""
    found = set()
    for rule in permissions:
        ports = rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")
        found |= {(*ports, one["CidrIp"]) for one in rule["IpRanges"]}
        found |= {(*ports, one["CidrIpv6"]) for one in rule["Ipv6Ranges"]}
        found |= {(*ports, names.get(one["GroupId"], one["GroupId"])) for one in rule["UserIdGroupPairs"]}
    return found


def egress(template, group):
    """The same of what the template lets out; with no rule, everything would pass."""
    def to(rule):
        return rule.get("CidrIp") or rule["DestinationSecurityGroupId"]["Fn::GetAtt"][0]
    return {(r["IpProtocol"], r.get("FromPort"), r.get("ToPort"), to(r)) for r in template["Resources"][group]["Properties"]["SecurityGroupEgress"]}


def of_type(template, kind):
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


def no_secret(template):
    """Whatever is a secret comes from Secrets Manager."""
    for name, parameter in template["Parameters"].items():
        secret = any(word in name.lower() for word in ("password", "token", "apikey")) or name in ("Secret", "SecretKeys")
        expect(f"a parameter {name} that is a secret", secret, False)
    def walk(place, value):
        if isinstance(value, dict):
            name = value.get("Name")
            if isinstance(name, str) and "Value" in value:
                expect(f"{place}: {name} in plain text", any(word in name for word in ("PASSWORD", "API_KEY", "SECRET_KEYS", "TOKEN")), False)
            for key, one in value.items():
                if key in ("MasterUserPassword", "AuthToken"):
                    expect(f"{place}.{key} comes from Secrets Manager", "{{resolve:secretsmanager:" in str(one), True)
                walk(f"{place}.{key}", one)
        elif isinstance(value, list):
            for one in value:
                walk(place, one)
    walk("Resources", template["Resources"])


def buckets(template, made, names):
    s3 = boto3.client("s3")
    for name in names:
        public = template["Resources"][name]["Properties"]["PublicAccessBlockConfiguration"]
        expect(f"{name} is not public", public, dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True))
        expect(f"{name} keeps versions", template["Resources"][name]["Properties"].get("VersioningConfiguration"), {"Status": "Enabled"})
        name = made[name]
        rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        expect(f"{name} is encrypted", rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256")


def stack(name, parameters, look):
    path = f"deploy/aws/{name}.yaml"
    template = cfn_yaml.load(path)
    no_secret(template)
    cloud = boto3.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body = open(path).read()
    for text, value in UNKNOWN.items():
        body = body.replace(text, value)
    cloud.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    expect(f"{name} is created", cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"], "CREATE_COMPLETE")
    resources = cloud.describe_stack_resources(StackName=name)["StackResources"]
    made = {one["LogicalResourceId"]: one.get("PhysicalResourceId") for one in resources if "LogicalResourceId" in one}
    look(template, made)
    ec2 = boto3.client("ec2")
    cloud.delete_stack(StackName=name)
    left = [one["StackName"] for one in cloud.describe_stacks()["Stacks"]]
    expect(f"stacks left of {name}", left, [])
    groups = ec2.describe_security_groups()["SecurityGroups"]
    expect(f"groups left of {name}", [one["GroupName"] for one in groups if one["GroupName"] != "default"], [])


def single_host(template, made):
    ec2 = boto3.client("ec2")
    expect("hosts", len(ec2.describe_instances(InstanceIds=[made["Host"]])["Reservations"]), 1)
    expect("groups of the host", template["Resources"]["Host"]["Properties"]["SecurityGroupIds"], [{"Fn::GetAtt": ["Group", "GroupId"]}])
    group = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"][0]
    expect("ingress of the host", rules(group["IpPermissions"], {made["Group"]: "itself"}), {
        ("tcp", 22, 22, "203.0.113.0/24"), ("tcp", 80, 80, "0.0.0.0/0"), ("tcp", 8000, 8000, "0.0.0.0/0"),
        ("tcp", 5432, 5432, "itself"), ("tcp", 6379, 6379, "itself"),
    })
    world = "0.0.0.0/0"
    expect("egress of the host", egress(template, "Group"), {("tcp", 443, 443, world), ("tcp", 53, 53, world), ("udp", 53, 53, world), ("udp", 123, 123, world)})
    disks = template["Resources"]["Host"]["Properties"]["BlockDeviceMappings"]
    expect("disks that are encrypted", [one["Ebs"]["Encrypted"] for one in disks], [True])
    expect("metadata only with a token", template["Resources"]["Host"]["Properties"]["MetadataOptions"]["HttpTokens"], "required")
    buckets(template, made, ["Backups"])
    expect("days that backups are kept", [one["ExpirationInDays"] for one in template["Resources"]["Backups"]["Properties"]["LifecycleConfiguration"]["Rules"]], [14])
    # The script is whole: what CloudFormation puts in is in place, and what is the shell's is left to it.
    script = template["Resources"]["Host"]["Properties"]["UserData"]["Fn::Base64"]["Fn::Sub"].replace("${!", "${")
    for part in ("--read-only", "TLS_CERT=", "return 308 https://${Name}:8000$request_uri", "mcp-http backup", "enable --now docker nginx mcp.service mcp-backup.timer"):
        expect(f"the host's script has {part}", part in script, True)


def fleet(template, made):
    ec2, ecs = boto3.client("ec2"), boto3.client("ecs")
    groups = [name for name in made if name.endswith("Group")]
    names = {made[name]: name for name in groups}
    found = {names[one["GroupId"]]: rules(one["IpPermissions"], names) for one in ec2.describe_security_groups(GroupIds=[made[name] for name in groups])["SecurityGroups"]}
    world, nothing = "0.0.0.0/0", {("-1", None, None, "127.0.0.1/32")}
    expect("ingress", found, {
        "BalancerGroup": {("tcp", 443, 443, world), ("tcp", 80, 80, world)},
        "ServerGroup": {("tcp", 8000, 8000, "BalancerGroup")},
        "DatabaseGroup": {("tcp", 5432, 5432, "ServerGroup")},
        "CacheGroup": {("tcp", 6379, 6379, "ServerGroup")},
    })
    expect("egress", {name: egress(template, name) for name in groups}, {
        "BalancerGroup": {("tcp", 8000, 8000, "ServerGroup")},
        "ServerGroup": {("tcp", 5432, 5432, "DatabaseGroup"), ("tcp", 6379, 6379, "CacheGroup"), ("tcp", 443, 443, world),
                        ("tcp", 53, 53, world), ("udp", 53, 53, world), ("udp", 123, 123, world)},
        "DatabaseGroup": nothing,
        "CacheGroup": nothing,
    })

    database = boto3.client("rds").describe_db_instances(DBInstanceIdentifier=made["Database"])["DBInstances"][0]
    expect("the database is public", database["PubliclyAccessible"], False)
    expect("the database is encrypted", database["StorageEncrypted"], True)
    expect("days of its backups", database["BackupRetentionPeriod"], 14)
    # moto tells of none of these.
    wanted = {"MultiAZ": True, "DeletionProtection": True, "ManageMasterUserPassword": True}
    expect("the database", {key: template["Resources"]["Database"]["Properties"].get(key) for key in wanted}, wanted)
    expect("its password in the template", "MasterUserPassword" in template["Resources"]["Database"]["Properties"], False)
    private = {made["PrivateA"], made["PrivateB"]}
    expect("where the database is", {one["SubnetIdentifier"] for one in database["DBSubnetGroup"]["Subnets"]}, private)
    wanted = {"TransitEncryptionEnabled": True, "AtRestEncryptionEnabled": True, "AutomaticFailoverEnabled": True}
    (cache,) = of_type(template, "AWS::ElastiCache::ReplicationGroup").values()
    expect("Redis", {key: cache.get(key) for key in wanted}, wanted)
    expect("Redis asks for a password", "AuthToken" in cache, True)
    buckets(template, made, ["Files", "Backups"])
    expect("days that backups are kept", [one["ExpirationInDays"] for one in template["Resources"]["Backups"]["Properties"]["LifecycleConfiguration"]["Rules"]], [14])

    listeners = boto3.client("elbv2").describe_listeners(LoadBalancerArn=made["Balancer"])["Listeners"]
    does = {(one["Port"], one["Protocol"], one["DefaultActions"][0]["Type"]) for one in listeners}
    expect("listeners", does, {(443, "HTTPS", "forward"), (80, "HTTP", "redirect")})
    (target,) = boto3.client("elbv2").describe_target_groups(TargetGroupArns=[made["Target"]])["TargetGroups"]
    expect("what the load balancer asks", target["HealthCheckPath"], "/health/ready")

    service = ecs.describe_services(cluster=made["Cluster"], services=[made["Service"]])["services"][0]
    expect("replicas", service["desiredCount"], 3)
    network = template["Resources"]["Service"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    expect("tasks have addresses of the world", network["AssignPublicIp"], "DISABLED")
    for name, task in of_type(template, "AWS::ECS::TaskDefinition").items():
        for one in task["ContainerDefinitions"]:
            expect(f"the user of {name}.{one['Name']}", one["User"], "10001:10001")
            if one["Name"] != "upload":
                expect(f"the root of {name}.{one['Name']} is read only", one["ReadonlyRootFilesystem"], True)
    (scaling,) = of_type(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
    expect("how many replicas", (scaling["MinCapacity"], scaling["MaxCapacity"]), ({"Ref": "Replicas"}, {"Ref": "MostReplicas"}))

    events = boto3.client("events")
    schedules = {one["Name"]: one["ScheduleExpression"] for one in events.list_rules()["Rules"] if one.get("ScheduleExpression")}
    expect("schedules", list(schedules.values()), ["cron(0 3 * * ? *)"])
    targets = [one for rule in schedules for one in events.list_targets_by_rule(Rule=rule)["Targets"]]
    expect("what is started then", [one["EcsParameters"]["TaskDefinitionArn"] for one in targets], [made["Backup"]])
    alarms = {name for name in template["Resources"] if name.endswith("Alarm")}
    expect("alarms", alarms, {"ErrorsAlarm", "SlowAlarm", "ReplicasAlarm", "DiskAlarm", "DatabaseAlarm", "CacheAlarm"})
    expect("alarms that tell nobody", [name for name in alarms if template["Resources"][name]["Properties"].get("AlarmActions") != [{"Ref": "Alarms"}]], [])


@mock_aws
def main(which):
    secret, image = ARN.format("secretsmanager", "secret:mcp-AbCdEf"), "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mcp-http:1"
    if "single-host" in which:
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        key = ec2.create_key_pair(KeyName="operator")["KeyName"]
        stack("single-host", {"Vpc": vpc, "Subnet": subnet, "SshFrom": "203.0.113.0/24", "KeyName": key, "Name": "mcp.example.com", "SecretArn": secret, "Image": image}, single_host)
    if "fleet" in which:
        certificate = boto3.client("acm").request_certificate(DomainName="mcp.example.com")["CertificateArn"]
        stack("fleet", {"Name": "mcp.example.com", "CertificateArn": certificate, "SecretArn": secret, "Image": image, "AlarmEmail": "operator@example.com"}, fleet)


main(sys.argv[1:] or ["single-host", "fleet"])
for failure in failures:
    print(failure, file=sys.stderr)
sys.exit(bool(failures))
