#!/bin/sh
# shoplake with its Spark engine, local[2]: the same two commands, both cold, everything included.
set -eu
raw=$1 work=$2 answers=$3
shoplake ingest --source "$raw" --lake "$work/lake" --engine spark --master 'local[2]' --format json > "$work/ingest.json"
shoplake query all --lake "$work/lake" --format json > "$answers"
