# SPDX-License-Identifier: ISC
"""A CloudFormation that is just enough for "cdk deploy": it takes any template,
lets its creation last for a while, and checks each signature as STS does, by
the keys that the simulator handed out.

    with CloudFormation(sim, seconds=10) as cfn:
        env["AWS_ENDPOINT_URL_CLOUDFORMATION"] = cfn.url
        ...
        assert cfn.done and len(cfn.keys) > 1
"""
import http.server
import threading
import time
import types
import urllib.parse
from xml.sax.saxutils import escape

from simulator import sigv4
from simulator.message import Refusal, Request

ARN = "arn:aws:cloudformation:eu-central-1:111111111111:"
XMLNS = 'xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"'


def member(name, value):
    if isinstance(value, dict):
        value = "".join(member(n, v) for n, v in value.items())
    elif isinstance(value, list):
        value = "".join(member("member", v) for v in value)
    else:
        value = escape(str(value))
    return f"<{name}>{value}</{name}>"


class CloudFormation:
    def __init__(self, sim, seconds=0):
        self.sim, self.seconds = sim, seconds
        self.keys, self.actions, self.refused = [], [], []
        self.begun = self.name = self.template = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.answer(self)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def done(self):
        return bool(self.begun) and time.time() >= self.begun + self.seconds

    def answer(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", 0)))
        request = Request("POST", h.path, "", list(h.headers.items()), body,
                          "cloudformation", self.sim.region)
        form = dict(urllib.parse.parse_qsl(body.decode()))
        action = form.get("Action", "?")
        try:
            self.verify(request)
            self.actions.append(action)
            status, text = 200, self.act(action, form)
            text = (f"<{action}Response {XMLNS}>{member(action + 'Result', text)}"
                    "<ResponseMetadata><RequestId>1</RequestId>"
                    f"</ResponseMetadata></{action}Response>")
        except Refusal as e:
            if e.code != "ValidationError":
                self.refused.append((action, e.code, e.message))
            status = e.status or 400
            text = (f"<ErrorResponse {XMLNS}><Error><Type>Sender</Type>"
                    f"{member('Code', e.code)}{member('Message', e.message)}"
                    "</Error><RequestId>1</RequestId></ErrorResponse>")
        h.send_response(status)
        h.send_header("Content-Type", "text/xml")
        h.send_header("Content-Length", str(len(text.encode())))
        h.end_headers()
        h.wfile.write(text.encode())

    def verify(self, request):
        keys = {k["id"]: types.SimpleNamespace(**k) for k in self.sim.keys()}
        key = sigv4.verify(types.SimpleNamespace(keys=keys, now=time.time),
                           request, "cloudformation")
        if key.id not in self.keys:
            self.keys.append(key.id)

    def stack(self):
        state = "COMPLETE" if self.done else "IN_PROGRESS"
        return {"StackName": self.name, "StackId": f"{ARN}stack/{self.name}/1",
                "CreationTime": "2026-01-01T00:00:00Z",
                "StackStatus": f"CREATE_{state}"}

    def act(self, action, form):
        if action in ("CreateStack", "CreateChangeSet"):
            self.name = form["StackName"]
            self.template = form["TemplateBody"]
            self.change = form.get("ChangeSetName")
            if action == "CreateStack":
                self.begun = time.time()
            return {"StackId": f"{ARN}stack/{self.name}/1",
                    "Id": f"{ARN}changeSet/{self.change}/1"}
        if action == "DescribeChangeSet" and self.name:
            return {"ChangeSetName": self.change, "StackName": self.name,
                    "StackId": f"{ARN}stack/{self.name}/1",
                    "ChangeSetId": f"{ARN}changeSet/{self.change}/1",
                    "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE",
                    "Changes": [{"Type": "Resource", "ResourceChange": {
                        "Action": "Add", "LogicalResourceId": "Nothing",
                        "ResourceType":
                            "AWS::CloudFormation::WaitConditionHandle"}}]}
        if action == "ExecuteChangeSet":
            self.begun = time.time()
            return {}
        if not self.begun:
            raise Refusal("ValidationError", "Stack with id "
                          f"{form.get('StackName')} does not exist")
        if action == "DescribeStacks":
            return {"Stacks": [self.stack()]}
        if action == "GetTemplate":
            return {"TemplateBody": self.template}
        if action in ("DescribeStackEvents", "DescribeEvents"):
            return {"StackEvents": [{
                "EventId": "1", "Timestamp": "2026-01-01T00:00:00Z",
                "LogicalResourceId": self.name, **{
                    n: v for n, v in self.stack().items()
                    if n in ("StackId", "StackName")},
                "ResourceType": "AWS::CloudFormation::Stack",
                "ResourceStatus": self.stack()["StackStatus"]}]}
        raise Refusal("InvalidAction", f"{action} is not here")
