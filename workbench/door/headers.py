"""What every answer tells the browser to refuse.

Floor 1.
"""

from __future__ import annotations

# The API serves data: nothing in an answer may run, load or be framed.
API_CSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# The desk: Bokeh puts its document into an inline script and compiles small callbacks, so 'unsafe-inline' and 'unsafe-eval' stay.
# What is left still stops foreign scripts, foreign connections (data can't be sent away), plug-ins, frames and forms.
DESK_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; "
    "frame-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
_EVERYWHERE = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),  # not no-referrer: forms would then send Origin: null
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_TLS = (("strict-transport-security", "max-age=31536000"),)


def security_headers(csp: str, *, is_secure: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers of every answer. `is_secure`: the browser speaks TLS, and shall never again speak anything else here."""
    return (("content-security-policy", csp), *_EVERYWHERE, *(_TLS if is_secure else ()))
