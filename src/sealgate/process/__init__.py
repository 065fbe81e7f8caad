"""What the webhook and the operator share as services: logs, and requests to the API server.

The library below knows neither `structlog` nor `kubernetes`; only the two services import from here.
"""
