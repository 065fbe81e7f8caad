"""The ceiling: a Flask app that parses the review and admits it. Run by `bench/servers.py` under plain gunicorn."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request


def create_app() -> Flask:
    """Return an app that admits everything."""
    app = Flask("trivial")

    @app.post("/validate")
    def validate() -> Response:
        review = request.get_json()
        return jsonify(
            apiVersion="admission.k8s.io/v1",
            kind="AdmissionReview",
            response={"uid": review["request"]["uid"], "allowed": True},
        )

    @app.get("/readyz")
    def readyz() -> str:
        return "ok"

    return app
