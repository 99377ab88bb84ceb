"""Amazon's own client on our server: what it sends is understood, what it is told is what it expects."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, access_key, zone = sys.argv[1:]
client = boto3.client(
    "route53", endpoint_url=url, region_name="us-east-1", aws_access_key_id=access_key,
    aws_secret_access_key="geheim", config=Config(retries={"total_max_attempts": 1}),
)


def change(*changes):
    batch = [
        {"Action": action, "ResourceRecordSet": {
            "Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value} for value in values]}}
        for action, name, kind, ttl, values in changes
    ]
    return client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})["ChangeInfo"]


def alias(name, kind, target_zone, target, **more):
    to = {"HostedZoneId": target_zone, "DNSName": target, "EvaluateTargetHealth": False}
    batch = [{"Action": "CREATE", "ResourceRecordSet": {"Name": name, "Type": kind, **more, "AliasTarget": to}}]
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})


def refused_call(part, call, code="InvalidChangeBatch"):
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert part in str(error.response), error.response
    else:
        raise AssertionError(f"taken, and should be: {part}")


def refused(part, *changes):
    refused_call(part, lambda: change(*changes))


assert [one["Id"] for one in client.list_hosted_zones()["HostedZones"]] == ["/hostedzone/" + zone]
assert client.list_hosted_zones_by_name(DNSName="example.com")["HostedZones"][0]["Id"] == "/hostedzone/" + zone
a = ("a.example.com", "A", 60, ["203.0.113.1"])
info = change(("CREATE", *a), ("CREATE", "*.example.com", "TXT", 60, ['"x"']))
assert info["Status"] == "PENDING" and client.get_change(Id=info["Id"])["ChangeInfo"]["Id"] == info["Id"]
refused("it already exists", ("CREATE", *a))
refused("it was not found", ("DELETE", "b.example.com", "A", 60, ["203.0.113.1"]))
refused("do not match the current values", ("DELETE", "a.example.com", "A", 61, ["203.0.113.1"]))
refused("conflicts with other records", ("CREATE", "a.example.com", "CNAME", 60, ["b.example.net"]))
refused("not permitted at apex", ("CREATE", "example.com", "CNAME", 60, ["b.example.net"]))
refused("not permitted in zone", ("CREATE", "a.example.org", "A", 60, ["203.0.113.1"]))
refused("ARRDATAIllegalIPv4Address", ("CREATE", "c.example.com", "A", 60, ["203.0.113.999"]), ("DELETE", *a))
change(("DELETE", *a), ("CREATE", "a.example.com", "CNAME", 60, ["b.example.net"]))
balancer = ("Z35SXDOTRQ7X7K", "dualstack.lb-1.us-east-1.elb.amazonaws.com")
for name in ["l.example.com", "example.com"]:
    alias(name, "A", *balancer)
    alias(name, "AAAA", *balancer)
refused_call("zone was not found", lambda: alias("m.example.com", "A", "Z0000000000000", balancer[1]))
refused_call("does not lie within", lambda: alias("m.example.com", "A", balancer[0], "lb-1.example.net"))
refused_call("target was not found", lambda: alias("m.example.com", "CNAME", *balancer))
refused_call("conflicting RRSet of type  CNAME", lambda: alias("a.example.com", "A", *balancer))
refused_call("more than one", lambda: alias("m.example.com", "A", *balancer, TTL=60), "InvalidInput")
refused("it already exists", ("CREATE", "l.example.com", "A", 60, ["203.0.113.1"]))
refused("do not match the current values", ("DELETE", "l.example.com", "A", 60, ["203.0.113.1"]))
for start in range(0, 700, 350):
    change(*[("UPSERT", f"n{n}.example.com", "A", 60, ["203.0.113.1"]) for n in range(start, start + 350)])
refused("limit of 1000", *[("UPSERT", f"n{n}.example.com", "A", 60, ["203.0.113.1"]) for n in range(501)])
pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
names = [one["Name"] for page in pages for one in page["ResourceRecordSets"]]
assert len(names) == 708 and "\\052.example.com." in names, len(names)
print("ok")
