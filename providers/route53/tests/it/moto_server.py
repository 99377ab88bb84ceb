"""moto's Route 53 with the zone example.com: says its URL, then takes record sets of somebody else, one a line, until
its standard input ends."""

import logging
import sys

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://%s:%s" % server.get_host_and_port()
client = boto3.client(
    "route53", endpoint_url=url, region_name="us-east-1", aws_access_key_id=sys.argv[1], aws_secret_access_key="geheim"
)
zone = client.create_hosted_zone(Name="example.com", CallerReference="test")["HostedZone"]["Id"]
print(url, flush=True)
for line in sys.stdin:
    name, kind, value = line.split()
    record_set = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record_set}]}
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    print("done", flush=True)
