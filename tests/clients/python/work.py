# SPDX-License-Identifier: ISC
"""boto3: works on until it was given as many keys as are asked for, and prints
each."""
import sys
import time

import boto3

wanted, seen = int(sys.argv[1]), []
session = boto3.Session()
sts = session.client("sts")
while len(seen) < wanted:
    sts.get_caller_identity()
    key = session.get_credentials().get_frozen_credentials().access_key
    if key not in seen:
        print(key, flush=True)
        seen.append(key)
    time.sleep(0.3)
sts.get_caller_identity()
