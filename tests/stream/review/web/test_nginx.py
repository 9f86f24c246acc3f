"""The proxy blocks of the README and of deploy/, run by nginx itself, with TLS."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
import trustme

from stream.http import serving
from tests.stream.review.conftest import PASSWORD

ROOT = Path(__file__).parents[4]
README_BLOCK = re.search(
    r"with nginx:\n```\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL
)[1]
DEPLOY_BLOCK = (ROOT / "deploy" / "nginx.conf").read_text()
PATHS = "client_body_temp_path proxy_temp_path fastcgi_temp_path uwsgi_temp_path scgi_temp_path"
LOGIN = {"name": "ada", "password": PASSWORD}
pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def nginx(tmp_path):
    """Runs nginx with server blocks until the end of the test."""
    running = []

    def nginx(servers, port):
        temporary = " ".join(f"{name} {tmp_path}/{name};" for name in PATHS.split())
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary}\n{servers}\n}}"
        )
        running.append(subprocess.Popen(["nginx", "-c", config], stderr=subprocess.PIPE))
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert running[-1].poll() is None, running[-1].stderr.read()
            time.sleep(0.02)

    yield nginx
    for process in running:
        process.terminate()
        process.communicate(timeout=20)


def certificate(folder):
    both = folder / "both.pem"
    issued = trustme.CA().issue_cert("lab.example").private_key_and_cert_chain_pem
    issued.write_to_path(str(both))
    return f"ssl_certificate {both}; ssl_certificate_key {both};"


def under_a_path(folder, page, port):
    block = README_BLOCK.replace("8765", str(page))
    listen = f"listen 127.0.0.1:{port} ssl; {certificate(folder)} server_name lab.example;"
    return f"server {{ {listen}\n{block}}}", "/smears"


def own_name(folder, page, port):
    block = re.sub(r"ssl_certificate(_key)? .+;\n", "", DEPLOY_BLOCK).replace("8765", str(page))
    listen = f"listen 127.0.0.1:{port} ssl; {certificate(folder)}"
    assert "listen 443 ssl;" in block
    return block.replace("listen 443 ssl;", listen).replace("review.lab.example", "lab.example"), ""


@pytest.mark.parametrize("servers", [under_a_path, own_name])
def test_the_page_works_behind_nginx(open_lab, nginx, tmp_path, servers):
    lab = open_lab("accounts", hosts=("lab.example",), secure_cookies=True)
    lab.accounts.set("ada", "reviewer", PASSWORD)
    page, port = free_ports(2)
    text, path = servers(tmp_path, page, port)
    nginx(text, port)
    site = {"Host": f"lab.example:{port}", "Origin": f"https://lab.example:{port}"}
    client = httpx2.Client(base_url=f"https://127.0.0.1:{port}{path}", headers=site, verify=False)
    with serving(lab.app, f"127.0.0.1:{page}", "page"), client as http:
        entered = http.post("/api/login", json=LOGIN)
        assert entered.status_code == 200, entered.text
        assert "Secure" in entered.headers["set-cookie"]
        stamp = {"X-CSRF-Token": http.get("/api/me").json()["csrf"]}
        text = http.get(f"/slides/{lab.made.slide.slide_id}").text
        linked = re.findall(r'(?:src|href)="(?:\./|\.\./)*([^"#]+)"', text)
        assert {http.get(f"/{link}").status_code for link in linked} == {200}
        with http.stream("GET", "/api/live") as live:
            lines = live.iter_lines()
            assert any(line.startswith("data") for line in lines)
            said = http.post(f"{lab.slide}/comments", json={"text": "hi", "saw": 0}, headers=stamp)
            assert said.status_code == 200, said.text
            assert any(line.startswith("data") for line in lines)
        evil = {"Host": "evil.example", "Origin": "https://evil.example"}
        assert http.post("/api/login", json=LOGIN, headers=evil).status_code in (400, 403)
