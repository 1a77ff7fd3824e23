"""Schemathesis against the served document: no server error, no status that the document does not name."""

import re
import subprocess
import sys
from pathlib import Path

from bench.system import System
from tests.soak import rounds

# Methods that a path does not serve are published elsewhere and answer 501 until they are built.
CONFIGURATION = """\
[phases.coverage]
unexpected-methods = []
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_served_document_holds_under_fuzzing(system: System, tmp_path: Path) -> None:
    # A person of its own: what it deletes and leaves is nobody else's.
    printed = system.ratoon("user", "add", "fuzz@example.com")
    key = re.search(r"dtn_[0-9a-f]{64}", printed)
    assert key is not None
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{system.url}/openapi.json",
        "--url", system.url,
        "--header", f"Authorization: Bearer {key[0]}",
        # There is no portal, which is said with the published status.
        "--exclude-path-regex", "/app-portal-access$",
        "--checks", CHECKS, "--max-examples", str(rounds(15, 300)), "--seed", "20261122",
        "--generation-database", "none", "--workers", "1", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
