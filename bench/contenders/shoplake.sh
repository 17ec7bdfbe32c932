#!/bin/sh
# shoplake: the two commands a user types, both cold: contract, dedupe, ledger, gold and commits included.
set -eu
raw=$1 work=$2 answers=$3
shoplake ingest --source "$raw" --lake "$work/lake" --format json > "$work/ingest.json"
shoplake query all --lake "$work/lake" --format json > "$answers"
