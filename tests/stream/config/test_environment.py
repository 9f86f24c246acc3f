"""What the environment and secret files state: above the file, below the command line, never
shown.
"""

import pytest

from stream.config import ConfigError, load_config


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text('[kafka]\nbootstrap = "file:1"\n[kafka.security]\nsecurity_protocol = "SSL"\n')
    return path


def test_variables_stand_above_the_file_and_below_the_command_line(file, monkeypatch):
    monkeypatch.setenv("CYTOSTREAM_KAFKA__BOOTSTRAP", "environment:1")
    monkeypatch.setenv("CYTOSTREAM_LIS__INSECURE", "true")
    monkeypatch.setenv("CYTOSTREAM_WATCH__HOSTS", '["lab", "lab.example"]')
    monkeypatch.setenv("CYTOSTREAM_REVIEW__SESSION_HOURS", "2.5")
    config = load_config(file)
    assert config.kafka.bootstrap == "environment:1" and config.lis.insecure
    assert config.watch.hosts == ("lab", "lab.example") and config.review.session_hours == 2.5
    assert config.kafka.security == {"security_protocol": "SSL"}
    assert load_config(file, kafka={"bootstrap": "option:1"}).kafka.bootstrap == "option:1"
    monkeypatch.setenv("CYTOSTREAM_BOOTSTRAP", "short:1")
    assert load_config(None).kafka.bootstrap == "short:1"


def test_a_secret_is_read_from_its_file_and_a_variable_stands_above_it(file, tmp_path, monkeypatch):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka__security__sasl_plain_password").write_text("from-a-file\n")
    monkeypatch.setenv("CYTOSTREAM_SECRETS", str(secrets))
    assert load_config(file).kafka.security["sasl_plain_password"] == "from-a-file"
    monkeypatch.setenv("CYTOSTREAM_KAFKA__SECURITY__SASL_PLAIN_PASSWORD", "from-a-variable")
    assert load_config(file).kafka.security["sasl_plain_password"] == "from-a-variable"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CYTOSTREAM_KAFKAA__BOOTSTRAP", "a:1", "CYTOSTREAM_KAFKAA__BOOTSTRAP: no section"),
        ("CYTOSTREAM_KAFKA__BOOTSTRAPP", "a:1", "CYTOSTREAM_KAFKA__BOOTSTRAPP: "),
        ("CYTOSTREAM_KAFKA__LINGER_MS", "secret", "CYTOSTREAM_KAFKA__LINGER_MS: "),
        ("CYTOSTREAM_BOOTSTRAP", "secret", "CYTOSTREAM_BOOTSTRAP: "),
        ("CYTOSTREAM_SECRETS", "/absent", "CYTOSTREAM_SECRETS: /absent: no such folder"),
    ],
)
def test_a_fault_names_its_variable(monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as error:
        load_config(None)
    assert error.value.what.startswith(said)


def test_a_password_in_a_file_that_others_can_read_is_refused(file):
    words = 'sasl_mechanism = "PLAIN"\nsasl_plain_username = "a"\nsasl_plain_password = "hidden"\n'
    file.write_text(file.read_text() + words)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read") as error:
        load_config(file)
    assert "hidden" not in str(error.value)
    file.chmod(0o600)
    assert load_config(file).kafka.security["sasl_plain_password"] == "hidden"
