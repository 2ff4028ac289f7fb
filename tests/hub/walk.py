"""Two learners on a JupyterHub on this machine, both at work at once: each has lessons, files and progress of their own.

    npm install configurable-http-proxy
    PATH=$PWD/node_modules/.bin:$PATH uv run --with jupyterhub python tests/hub/walk.py

It takes about two minutes and says what it saw.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import nbformat
import requests
import websocket  # comes with Jupyter's server

ROOT = Path(__file__).resolve().parent.parent.parent
LESSON = ROOT / "notebooks" / "01_black_boxes.ipynb"
ANSWERS = {"ann": "tl.check.whom_to_help('bank', 'a')", "bob": "tl.check.whom_to_help('museum', 'a')"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Learner:
    """Starts a server on the hub as a browser does, and a kernel on it."""

    def __init__(self, hub: str, token: str, name: str):
        self.name, self.head = name, {"Authorization": f"token {token}"}
        users, self.server = f"{hub}/hub/api/users/{name}", f"{hub}/user/{name}"
        requests.post(users, headers=self.head, timeout=30).raise_for_status()
        requests.post(f"{users}/server", headers=self.head, timeout=120).raise_for_status()
        for _ in range(240):
            if requests.get(users, headers=self.head, timeout=30).json()["servers"].get("", {}).get("ready"):
                break
            time.sleep(0.5)
        where = {"path": "notebooks"}
        made = requests.post(f"{self.server}/api/kernels", json=where, headers=self.head, timeout=120)
        made.raise_for_status()
        address = f"{self.server}/api/kernels/{made.json()['id']}/channels".replace("http:", "ws:")
        self.socket = websocket.create_connection(address, header=self.head, timeout=600)

    def run(self, source: str) -> str:
        """What a cell shows last."""
        number, shown = uuid.uuid4().hex, ""
        header = {"msg_id": number, "msg_type": "execute_request", "username": self.name, "session": number}
        header["version"] = "5.3"
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.socket.send(json.dumps(message))
        while True:
            heard = json.loads(self.socket.recv())
            if heard["parent_header"].get("msg_id") != number:
                continue
            content = heard["content"]
            if heard["msg_type"] == "error":
                raise RuntimeError(f"{self.name}: {content['ename']}: {content['evalue']}")
            if "data" in content or heard["msg_type"] == "stream":
                shown = content["data"].get("text/plain", "") if "data" in content else content["text"].strip()
            if heard["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown

    def lesson(self) -> None:
        """Run All, then an answer: right for one learner, wrong for the other."""
        for cell in nbformat.read(LESSON, as_version=4).cells:
            if cell.cell_type == "code":
                shown = self.run(cell.source)
                if "claims" in cell.metadata.get("tags", []):
                    assert shown.startswith("✔") and "✘" not in shown, shown
        self.verdict = self.run(ANSWERS[self.name])
        self.run(f"from pathlib import Path\nPath('mine.txt').write_text({self.name!r})")
        self.progress = self.run("tl.check.progress('01')")


def main() -> None:
    token, port = secrets.token_hex(32), free_port()
    hub = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as homes:
        environment = os.environ | {"HUB_HOMES": homes, "HUB_PORT": str(port), "HUB_TOKEN": token}
        for name in ("TL_PROGRESS", "TL_HOME", "XDG_DATA_HOME"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "jupyterhub", "-f", str(Path(__file__).with_name("jupyterhub_config.py"))]
        command += [
            f"--JupyterHub.hub_port={free_port()}",
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{free_port()}",
        ]
        with open(Path(homes, "hub.log"), "w") as log:
            process = subprocess.Popen(command, cwd=homes, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(240):
                try:
                    requests.get(f"{hub}/hub/api", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.5)
            ann, bob = (Learner(hub, token, name) for name in ANSWERS)
            both = [threading.Thread(target=learner.lesson) for learner in (ann, bob)]
            for one in both:
                one.start()
            for one in both:
                one.join()
            for learner in (ann, bob):
                print(f"{learner.name}: {learner.verdict[:11]} {learner.progress}")
            assert "1 of 2" in ann.progress and "0 of 2" in bob.progress
            for learner in (ann, bob):
                assert Path(homes, learner.name, "notebooks", "mine.txt").read_text() == learner.name
                assert Path(homes, learner.name, "notebooks", LESSON.name).exists()
            assert not (ROOT / "notebooks" / "mine.txt").exists()
            print("Each has lessons, files and progress of their own, and nobody wrote into the course's folder.")
        except BaseException:
            print(Path(homes, "hub.log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
