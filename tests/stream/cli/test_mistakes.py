"""Mistakes of a new user: each is one line of what is wrong, and one of what to do."""

import os
import sys

import pytest

from stream.cli import main


@pytest.fixture
def cytostream(monkeypatch, capsys, tmp_path):
    """Runs the command in a folder of its own; its exit status and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    monkeypatch.delenv("CYTOSTREAM_BOOTSTRAP", raising=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "list.txt").write_text("")

    def cytostream(*words):
        monkeypatch.setattr(sys, "argv", ["cytostream", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return cytostream


NONE = ("--sink", "none", "--workers", "0")
MISTAKES = [
    (["run", "absent.svs", *NONE], "absent.svs: no such file", "check the path"),
    (["run", "empty", *NONE], "empty: no slide in this folder", "README"),
    (["run", "text.svs", "--area", "half", *NONE], "--area half", "see --help"),
    (["run", "text.svs", "--tile-px", "5", *NONE], "--tile-px 5", "see --help"),
    (["run", "text.svs", "--workers", "-1", "--sink", "none"], "--workers -1", "see --help"),
    (["watch", "empty", "--workers", "-1", "--sink", "none"], "--workers -1", "see --help"),
    (["watch", "empty", "--door", "127.0.0.1:http"], "127.0.0.1:http: no address", "HOST:PORT"),
    (["watch", "empty", "--door", "::1:8080"], "::1:8080: no address", "[::1]:8080"),
    (["watch", "empty", "--door", "192.0.2.1:8080"], "cannot be listened on", "this machine's"),
    (["run", "text.svs", "--sink", "jsonl:"], "no sink 'jsonl:'", "jsonl:PATH"),
    (["run", "text.svs", "--store", "list.txt", *NONE], "list.txt", "choose another"),
    (["run", "text.svs", "--sink", "kafak"], "no sink 'kafak'", "jsonl:PATH"),
    (["run", "text.svs", "--config", "absent.toml", *NONE], "absent.toml", "TOML"),
    (["run", "text.svs", "--model", "empty", *NONE], "empty", "model"),
    (["watch", "absent"], "absent: no such file", "check the path"),
    (["locate", "absent.svs"], "absent.svs: no such file", "check the path"),
    (["locate", "text.svs", "--workers", "0"], "text.svs", "->"),
    (["map", "absent.svs"], "absent.svs: no such file", "check the path"),
    (["classify", "absent"], "absent: no such file", "check the path"),
    (["classify", "empty"], "empty", "->"),
    (["card", "absent"], "absent: no such file", "check the path"),
    (["config", "absent.toml"], "absent.toml: no such file", "check the path"),
    (["explain", "absent", "--out", "out"], "absent: no such file", "check the path"),
    (["index", "absent"], "absent: no such file", "check the path"),
    (["calibrate", "absent"], "absent: no such file", "check the path"),
    (["train", "absent.toml"], "absent.toml: no such file", "check the path"),
    (["export", "absent", "--out", "out"], "absent: no such file", "check the path"),
    (["export-results", "--store", "typo"], "typo: no results here", "cytostream run"),
    (["export-results", "--store", "typo", "--form", "xls"], "no form xls", "csv"),
    (["serve", "--store", "typo"], "typo: no results here", "check --store"),
    (["alerts", "--store", "typo"], "typo: no results here", "cytostream run"),
    (["audit", "--store", "typo"], "typo: nothing was reviewed here", "cytostream serve"),
    (["tail", "cell"], "no topic cell", "cells, alerts"),
    (["generate", "cat", "--out", "out"], "'cat' is no class", "neutrophil"),
    (["simulate", "x.tiff", "--stain", "blue"], "no stain 'blue'", "one of"),
]


@pytest.mark.parametrize(
    ("words", "what", "next_step"), MISTAKES, ids=[" ".join(words[:4]) for words, *_ in MISTAKES]
)
def test_a_mistake_is_told_with_the_next_step(cytostream, tmp_path, words, what, next_step):
    code, told = cytostream(*words)
    assert code == 1 and "Traceback" not in told
    lines = told.strip().splitlines()
    assert what in told and next_step in told and len(lines) <= 3, told
    assert lines[-1].startswith("  -> ")
    assert not (tmp_path / "typo").exists()


WRONG_LINES = [
    (["run"], "Missing argument 'slides'", "cytostream run --help"),
    (["rum", "x"], "No such command 'rum'. Did you mean 'run'?", "cytostream --help"),
    (["run", "text.svs", "--mpp", "5"], "'--mpp': it should be less", "cytostream run --help"),
    (["run", "text.svs", "--workers", "two"], "valid integer", "cytostream run --help"),
    (["serve", "--port", "99999"], "'--port'", "cytostream serve --help"),
    (["--nope"], "No such option: --nope", "cytostream --help"),
]


@pytest.mark.parametrize(("words", "what", "next_step"), WRONG_LINES)
def test_a_wrong_command_line_is_one_line_with_the_next_step(cytostream, words, what, next_step):
    code, told = cytostream(*words)
    lines = told.strip().splitlines()
    assert code == 2 and len(lines) == 2, told
    assert lines[0].startswith("error: ") and what in lines[0]
    assert lines[1].startswith("  -> see ") and next_step in lines[1]


WRONG_CONFIGS = {
    "[kafka": "TOML",
    "[kafak]\nbootstrap = 'x:1'": "kafak",
    "[kafka]\nbootstrap = '127.0.0.1'": "HOST:PORT",
    "[kafka]\nbootstrap = '127.0.0.1:99999'": "HOST:PORT",
    "[kafka.topics]\ncells = 'a/b'": "kafka.topics.cells",
    "[kafka.security]\nsasl_mechanisms = 'PLAIN'": "no key sasl_mechanisms",
    "[kafka.security]\nsecurity_protocol = 'TLS'": "no protocol TLS",
    "[kafka]\nbootstrap = 'PLAINTEXT://127.0.0.1:9092'": "HOST:PORT",
    "[kafka]\ncompression = 'brotli'": "gzip",
    "[kafka]\nsecurity = {security_protocol = 'SASL_SSL', sasl_mechanism = 'PLAIN'}": "sasl_plain",
    "[kafka]\nsecurity = {security_protocol = 'SASL_SSL'}": "sasl_mechanism is missing",
    "[review]\nfolder = 'smears'": "review.folder",
}


@pytest.mark.parametrize("text", WRONG_CONFIGS)
def test_a_wrong_config_is_refused_when_it_is_read(cytostream, tmp_path, text):
    (tmp_path / "wrong.toml").write_text(text)
    code, told = cytostream("config", "wrong.toml")
    assert code == 1 and "wrong.toml" in told and WRONG_CONFIGS[text] in told, told


@pytest.mark.parametrize(("codec", "package"), [("snappy", "snappy"), ("zstd", "zstandard")])
def test_a_compression_without_its_package_is_refused(
    cytostream, tmp_path, monkeypatch, codec, package
):
    monkeypatch.setattr("stream.config.kafka.find_spec", lambda name: None)
    (tmp_path / "wrong.toml").write_text(f"[kafka]\ncompression = '{codec}'")
    code, told = cytostream("config", "wrong.toml")
    assert code == 1 and f"pip install {package}" in told


def test_names_are_printed_as_they_are(capsys):
    from stream.cli.console import print_error, say

    say("arrived: a[b]c[/].png :smile:")
    say("arrived: e\x1b]0;PWNED\x07\x1b[2Jx.png")
    print_error("smear[/b].svs: \x1b[31mred", "check [kafka] in the config")
    told = capsys.readouterr().err
    assert "arrived: a[b]c[/].png :smile:" in told and "check [kafka] in the config" in told
    assert "\x1b]" not in told and "\\x1b]0;PWNED\\x07\\x1b[2Jx.png" in told
    assert "smear[/b].svs: \\x1b[31mred" in told


def test_bytes_of_a_name_that_are_no_letters_are_printed_as_escapes():
    from stream.cli.printable import printable

    assert printable(os.fsdecode(b"bl\xfcte.png")) == "bl\\udcfcte.png"
    assert printable("Blüte 李.png") == "Blüte 李.png"
