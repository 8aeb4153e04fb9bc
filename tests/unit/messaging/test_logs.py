"""How a process that ends by itself says why, for a person and for a collector."""

import json
import subprocess
import sys


def ended(code: str) -> tuple[int, str]:
    """Exit code and stderr of a process that logs JSON."""
    setup = 'from prefmill.messaging.logs import end, set_up_logging as s\ns("INFO", "json")\n'
    done = subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_the_last_words_of_a_service_are_a_record_where_a_collector_reads_them() -> None:
    code, said = ended('end("no ledger at h:5432", "json")')
    event = json.loads(said)
    assert code == 1
    assert (event["level"], event["message"]) == ("ERROR", "no ledger at h:5432")
    assert ended('end("no ledger", "text")') == (1, "error: no ledger\n")


def test_a_crash_is_one_record_with_its_traceback() -> None:
    code, said = ended('raise ValueError("of no kind we know")')
    event = json.loads(said)
    assert code == 1
    assert (event["level"], event["message"]) == ("CRITICAL", "of no kind we know")
    assert event["exception"].splitlines()[-1] == "ValueError: of no kind we know"
