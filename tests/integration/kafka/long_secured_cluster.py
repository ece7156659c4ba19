"""Every process on a cluster with TLS, SASL and access rules, by the ways that `make test` leaves out.

One broker has all doors. Each role is a user of its own and has exactly what `hotswap-stream acls` prints.
"""

from pathlib import Path

import pytest

from tests.support.kafka.secured_broker import PASSWORD, Authority, TokenServer, unsigned_token
from tests.support.stages.command_line import command_line
from tests.support.stages.secured import MODEL, PREFIX, Secured, Way, check_every_process, principal


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["password", "token"])
def test_every_process_works_with_exactly_its_rights(way: str, stage: Secured, tokens: TokenServer) -> None:
    known: dict[str, Way] = {
        "password": stage.broker.by_password,
        "token": lambda name: stage.broker.by_token(name, tokens),
    }
    check_every_process(stage, known[way], way)
    if way == "token":
        assert set(tokens.handed_out) >= {principal(role) for role in ("api", "agents", "worker", "trainer")}


def test_who_is_not_let_in_hears_what_to_do(stage: Secured, tokens: TokenServer, tmp_path: Path) -> None:
    broker, name = stage.broker, principal("operator")
    by_password, by_certificate = broker.by_password(name), broker.by_certificate(name)
    stranger, (certificate, key) = Authority(tmp_path, "stranger"), Authority(tmp_path, "others").issue("eve")
    unnamed = {variable: "" for variable in by_certificate if "CERTIFICATE" in variable or "KEY" in variable}
    wrong = "wrong-and-secret"
    cases: dict[str, tuple[dict[str, str], int]] = {
        "does not accept HOTSWAP_KAFKA_SASL_USERNAME and HOTSWAP_KAFKA_SASL_PASSWORD": (
            {**by_password, "HOTSWAP_KAFKA_SASL_PASSWORD": wrong},
            4,
        ),
        "are HOTSWAP_KAFKA_OAUTH_CLIENT_ID, _CLIENT_SECRET and _SCOPE right": (
            {**broker.by_token(name, tokens), "HOTSWAP_KAFKA_OAUTH_CLIENT_SECRET": wrong},
            1,
        ),
        "HOTSWAP_KAFKA_SSL_CA_FILE must name the authority": (
            {**by_password, "HOTSWAP_KAFKA_SSL_CA_FILE": str(stranger.file)},
            1,
        ),
        "set HOTSWAP_KAFKA_SASL_MECHANISM to one that it knows": (
            {**by_password, "HOTSWAP_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
            4,
        ),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL SSL right": ({**by_certificate, **unnamed}, 1),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL PLAINTEXT right": (
            {"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": broker.sasl},
            1,
        ),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL SASL_SSL right": (
            {**by_password, "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": broker.root},
            1,
        ),
        "where none is shown that it trusts": (
            {
                **by_certificate,
                "HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE": str(certificate),
                "HOTSWAP_KAFKA_SSL_KEY_FILE": str(key),
            },
            1,
        ),
        "HOTSWAP_KAFKA_SSL_KEY_PASSWORD right": (
            {**by_certificate, "HOTSWAP_KAFKA_SSL_KEY_PASSWORD_FILE": "", "HOTSWAP_KAFKA_SSL_KEY_PASSWORD": wrong},
            78,
        ),
        "`hotswap-stream acls` prints": ({**by_password, "HOTSWAP_TOPIC_PREFIX": "others"}, 78),
    }
    for said, (variables, code) in cases.items():
        with command_line({"HOTSWAP_TOPIC_PREFIX": PREFIX, "HOTSWAP_HOME": str(tmp_path), **variables}) as cli:
            output = " ".join(cli("models", code=code).output.split())
        assert said in output, (said, output)
        assert wrong not in output
        assert PASSWORD.format(name) not in output


def test_a_token_in_a_file_is_taken_anew(stage: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    variables = {
        **stage.broker.by_password(""),
        "HOTSWAP_KAFKA_SASL_USERNAME": "",
        "HOTSWAP_KAFKA_SASL_PASSWORD": "",
        "HOTSWAP_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "HOTSWAP_KAFKA_OAUTH_TOKEN_FILE": str(file),
        "HOTSWAP_TOPIC_PREFIX": PREFIX,
        "HOTSWAP_HOME": str(tmp_path),
    }
    with command_line(variables) as cli:
        assert "cannot be read" in cli("models", code=1).output
        file.write_text(unsigned_token(principal("operator"), -60))
        assert "expired" in cli("models", code=1).output
        file.write_text(unsigned_token("", 60))
        assert "does not accept the token" in " ".join(cli("models", code=4).output.split())
        file.write_text(unsigned_token(principal("operator"), 300))
        assert MODEL in cli("models").output
