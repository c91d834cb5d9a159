"""One line for each request, on standard error: nothing of what was sent, and nobody's address."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["LogKind", "log", "log_request", "start_logs"]

LogKind = Literal["text", "json", "none"]

log = logging.getLogger("agelens.serve")


def log_request(request_id: str, method: str, path: str, status: int, seconds: float) -> None:
    """Note that a request was answered; status 0 where who asked had gone."""
    told = {"request_id": request_id, "method": method, "path": path, "status": status, "ms": round(1000 * seconds, 1)}
    log.info("%s %s %s %s %.1f ms", request_id, method, path, status, 1000 * seconds, extra={"request": told})


def start_logs(kind: LogKind) -> None:
    """Write the service's log to standard error, in this process.

    Args:
        kind: "text"; "json", an object a line; or "none", where only faults are told.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if kind == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.WARNING if kind == "none" else logging.INFO)
    # what Pillow says of strangers' files is in their answers, and Python keeps every warning that is new for ever
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)  # and so is what is wrong with their requests
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": when, "level": record.levelname.lower()}
        line |= getattr(record, "request", None) or {"message": record.getMessage()}
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return json.dumps(line)
