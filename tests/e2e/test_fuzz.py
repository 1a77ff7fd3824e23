"""Schemathesis against the served document: no server error, no status that the document does not name."""

import subprocess
import sys
from pathlib import Path

from bench.system import System
from tests.soak import rounds


def test_the_served_document_holds_under_fuzzing(system: System, tmp_path: Path) -> None:
    organization = system.organization("fuzz")
    key = system.key_of(organization, "fuzz")
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{system.url}/openapi.json",
        "--url", system.url,
        "--header", f"Authorization: Bearer {key}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-examples", str(rounds(15, 300)), "--seed", "20261122", "--workers", "1", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
