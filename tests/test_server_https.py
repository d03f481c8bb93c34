"""`mlquery serve` over https: with a certificate that is given, or one that is made for the session."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
import trustme

from mlquery.cli import main
from tests.test_server_command import serving

pytestmark = pytest.mark.slow


def health(url: str, authority: str) -> str:
    """Ask a server whether it is well, as a client that trusts one authority alone."""
    with urlopen(f"{url}/health", context=ssl.create_default_context(cafile=authority)) as answer:
        return str(answer.read().decode())


def exports(process: subprocess.Popen[str], count: int) -> dict[str, str]:
    """Return the variables that the command prints after its first line."""
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(count)]
    assert all(line.startswith("export ") for line in lines)
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_is_made_for_the_session_and_its_files_end_with_it(host: str) -> None:
    with serving("--https", "--host", host) as (process, line, url):
        authority = exports(process, 1)["REQUESTS_CA_BUNDLE"]
        assert url.startswith("https://")
        assert "OK" == health(url, authority)
        assert "OK" == health(url.replace("127.0.0.1", "localhost"), authority)
        folder = Path(authority).parent
        assert 0o700 == folder.stat().st_mode & 0o777
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(10)

    assert " in dialect oss on https://" in line
    assert not folder.exists()


def test_who_does_not_know_the_authority_gets_no_answer() -> None:
    with serving("--https") as (process, _, url):
        exports(process, 1)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{url}/health", context=ssl.create_default_context())


@pytest.mark.parametrize("has_own_key", [False, True])
def test_a_certificate_is_given_with_its_key_in_the_same_file_or_another(tmp_path: Path, has_own_key: bool) -> None:
    authority = trustme.CA()
    made, files = authority.issue_cert("127.0.0.1"), [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
    authority.cert_pem.write_to_path(files[0])
    made.private_key_pem.write_to_path(files[2])
    if has_own_key:
        made.cert_chain_pems[0].write_to_path(files[1])
    else:
        made.private_key_and_cert_chain_pem.write_to_path(files[1])
    options = ("--ssl-certfile", str(files[1]), *(("--ssl-keyfile", str(files[2])) if has_own_key else ()))

    with serving(*options) as (_, _, url):
        assert "OK" == health(url, str(files[0]))


def test_the_azure_dialect_says_what_microsofts_client_reads_to_come_here() -> None:
    with serving("--https", "--dialect", "azure", "--token", "s3cret") as (process, _, url):
        variables = exports(process, 5)

    assert variables.pop("REQUESTS_CA_BUNDLE").endswith("ca.pem")
    assert {
        "MLFLOW_TRACKING_URI": (
            f"azureml{url.removeprefix('https')}/mlflow/v2.0/subscriptions/s/resourceGroups/g/providers/"
            "Microsoft.MachineLearningServices/workspaces/w"
        ),
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        "IDENTITY_ENDPOINT": f"{url}/mlquery/identity",
        "IDENTITY_HEADER": "s3cret",
    } == variables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--https", "--ssl-certfile", "{pem}"],
            "--https makes a certificate; instead: --ssl-certfile without --https",
        ),
        (["--ssl-keyfile", "{pem}"], "--ssl-keyfile is the key of a certificate; instead: with --ssl-certfile"),
        (["--ssl-certfile", "{pem}"], "{pem}: not a certificate and its key without a password, in PEM: "),
        (
            ["--ssl-certfile", "{none}"],
            "{none}: not a certificate and its key without a password, in PEM: No such file",
        ),
    ],
)
def test_files_that_are_no_certificate_are_refused_in_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"pem": tmp_path / "cert.pem", "none": tmp_path / "none.pem"}
    names["pem"].write_text("not a certificate\n")

    assert 2 == main(["serve", "--port", "0", *(option.format(**names) for option in options)])

    out, err = capsys.readouterr()
    assert ("", 1) == (out, len(err.splitlines()))
    assert err.startswith(f"mlquery: {message.format(**names)}")


def test_without_trustme_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)

    assert 2 == main(["serve", "--port", "0", "--https"])

    assert "mlquery: --https needs trustme: pip install 'mlquery[https]'\n" == capsys.readouterr().err
