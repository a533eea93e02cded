# SPDX-License-Identifier: ISC
"""The shared file of cases: answers as bytes, and what botocore makes of
each. awsenv's fetcher is fed the same and must not differ."""

import json
import pathlib

FILE = pathlib.Path(__file__).resolve().parent.parent / "data/aws/cases.json"


def load():
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def find(name):
    for case in load():
        if case["name"] == name:
            return case
    raise ValueError(f"no case {name}")
