"""Run the rival: `python -m tests.rival --port 4355`."""

from __future__ import annotations

import argparse

import uvicorn

from tests.rival.app import app

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=4355)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, access_log=False, log_level="warning")
