#!/usr/bin/env python3
"""A Kubernetes API server as far as kubectl needs one to run pods: for tests of workers in pods.

    python3 -B api.py KUBECONFIG [SECONDS]

listens on a free port of this host, writes a file that leads kubectl there, and ends with its standard input. It
notices after so many seconds (0) that a pod was made, has begun or has ended, as a cluster takes its time.

A pod is a process of this machine: the command of its first container, with the pipes that kubectl attaches. As with
a kubelet, output that comes before somebody is attached is not sent again, the input ends with the one who is
attached, and a pod that is deleted gets SIGTERM, and SIGKILL after its grace. Images, volumes, limits and rights mean
nothing here. It attaches by WebSocket alone, as kubectl does from 1.31 on.
"""

import base64
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pods import CHANGED, EVENTS, OBJECTS, PODS, Pod, Socket, put

# What can be made and asked for: kinds by the path of their group and version.
KINDS = {
    "api/v1": ["Pod", "ServiceAccount", "PersistentVolumeClaim"],
    "apis/rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
    "apis/batch/v1": ["Job"],
}
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, value, code=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(value, bytes) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason, words):
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
        self.answer({**status, "message": words}, code)

    def asked(self):
        url, data = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return url.path.strip("/"), query, json.loads(data) if data else {}

    def do_GET(self):
        path, query, _ = self.asked()
        parent, _, last = path.rpartition("/")
        item, pod = OBJECTS.get(path), PODS.get(parent)
        if path == "version":
            self.answer({"major": "1", "minor": "32", "gitVersion": "v1.32.0"})
        elif path == "api":
            self.answer({"kind": "APIVersions", "versions": ["v1"]})
        elif path == "apis":
            versions = [{"groupVersion": k.removeprefix("apis/"), "version": "v1"} for k in KINDS if k != "api/v1"]
            groups = [{"name": v["groupVersion"].split("/")[0], "versions": [v]} for v in versions]
            self.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        elif path in KINDS:
            verbs = ["create", "delete", "get", "list", "watch"]
            kinds = [{"name": k.lower() + "s", "kind": k, "namespaced": True, "verbs": verbs} for k in KINDS[path]]
            group = path.split("/", 1)[1]
            self.answer({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": kinds})
        elif item:
            self.answer(item)
        elif pod and last == "attach":
            self.attach(pod)
        elif pod and last == "log":
            self.answer(bytes(pod.log))
        elif last not in {kind.lower() + "s" for kinds in KINDS.values() for kind in kinds}:
            self.refuse(404, "NotFound", f"{last} not found")
        elif query.get("watch") in ("true", "1"):
            self.watch(path, query)
        else:
            with CHANGED:
                items = [item for one, item in OBJECTS.items() if chosen(path, query, one, item)]
                version = {"resourceVersion": str(len(EVENTS))}
                self.answer({"kind": "List", "apiVersion": "v1", "metadata": version, "items": items})

    def watch(self, path, query):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        seen = int(query.get("resourceVersion") or 0)
        try:
            while True:
                with CHANGED:
                    CHANGED.wait_for(lambda: len(EVENTS) > seen)
                    events, seen = EVENTS[seen:], len(EVENTS)
                for event, one, item in events:
                    if chosen(path, query, one, item):
                        self.wfile.write(json.dumps({"type": event, "object": item}).encode() + b"\n")
        except OSError:
            pass

    def do_POST(self):
        path, _, item = self.asked()
        if path.endswith("/attach"):
            return self.refuse(400, "BadRequest", "only WebSockets are spoken here")
        name = item["metadata"]["name"]
        one = f"{path}/{name}"
        with CHANGED:
            if one in OBJECTS:
                return self.refuse(409, "AlreadyExists", f'{path.rpartition("/")[2]} "{name}" already exists')
            made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            item["metadata"].update(uid=f"uid-{len(EVENTS)}", namespace=path.split("/")[-2], creationTimestamp=made)
            if path.endswith("/pods"):
                PODS[one] = Pod(one, item, SECONDS)
            else:
                put("ADDED", one, item)
            self.answer(item, 201)

    def do_DELETE(self):
        path, _, options = self.asked()
        with CHANGED:
            if path not in OBJECTS:
                return self.refuse(404, "NotFound", f"{path} not found")
            item, pod = OBJECTS[path], PODS.get(path)
            if pod is None:
                put("DELETED", path, item)
            elif "deletionTimestamp" not in item["metadata"]:
                grace = options.get("gracePeriodSeconds", 30)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                item["metadata"].update(deletionTimestamp=stamp, deletionGracePeriodSeconds=grace)
                put("MODIFIED", path, item)
                threading.Thread(target=pod.delete, args=(grace,), daemon=True).start()
            self.answer(item)

    def attach(self, pod):
        """The pipes of a pod over a WebSocket: the first byte of each message is its channel."""
        if pod.process is None:
            return self.refuse(400, "BadRequest", "the container does not run")
        if "v5.channel.k8s.io" not in self.headers.get("Sec-WebSocket-Protocol", ""):
            return self.refuse(400, "BadRequest", "only v5.channel.k8s.io is spoken here")
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        for name, value in [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept),
                            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io")]:
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        pod.serve(Socket(self.rfile, self.wfile))


def chosen(path, query, one, item):
    """Whether an object belongs to a list or watch of such a path and query."""
    pairs = {name: [w.replace("==", "=").split("=") for w in query.get(name, "").split(",") if w]
             for name in ("fieldSelector", "labelSelector")}
    known = {"metadata.name": item["metadata"]["name"], "status.phase": item.get("status", {}).get("phase")}
    labels = item["metadata"].get("labels", {})
    return (one.startswith(path + "/") and all(known.get(key) == value for key, value in pairs["fieldSelector"])
            and all(labels.get(key) == value for key, value in pairs["labelSelector"]))


def main():
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "me", "user": {}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    with open(sys.argv[1] + ".new", "w", encoding="utf-8") as file:
        json.dump(config, file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    sys.stdin.read()
    for pod in list(PODS.values()):
        pod.delete(0)


main()
