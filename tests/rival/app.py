"""The rival: a connection per request, the body unread, and any database error an empty list with status 200."""

from __future__ import annotations

import os
from typing import Annotated

import psycopg
from fastapi import FastAPI, Header, HTTPException
from psycopg.rows import dict_row

app = FastAPI()

ParameterSets = list[dict[str, str]]


def read_tenants() -> ParameterSets:
    """Read the table, or swallow the fault: the flaw that this program exists for."""
    try:
        with psycopg.connect(
            host=os.environ.get("DB_HOST", "localhost"),
            port=os.environ.get("DB_PORT", "5432"),
            dbname=os.environ.get("DB_NAME", "organization"),
            user=os.environ.get("DB_USER", "postgres"),
            password=os.environ.get("DB_PASSWORD", ""),
            row_factory=dict_row,
        ) as connection:
            return connection.execute("SELECT tenant, status FROM organization").fetchall()
    except psycopg.Error:
        return []


@app.post("/api/v1/getparams.execute")
async def execute(authorization: Annotated[str, Header()] = "") -> dict[str, dict[str, ParameterSets]]:
    """Answer without looking at the question, and stall everybody while the database is slow."""
    if authorization != f"Bearer {os.environ['AUTH_TOKEN']}":
        raise HTTPException(403, "Forbidden")
    return {"output": {"parameters": read_tenants()}}


@app.get("/readyz")
@app.get("/healthz")
async def healthy() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}
