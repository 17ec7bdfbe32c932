"""Where a run on Spark spends its time: the stages of an event log, by the line of shoplake that asked for them.

    spark-submit --conf spark.eventLog.enabled=true --conf spark.eventLog.dir=DIR ... jobs/spark_submit.py ingest ...
    python bench/spark_stages.py DIR/app-...

Task seconds are what the cores did, summed over all tasks; stages of several tables run side by side.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path


def main(log: Path) -> None:
    """Print the table."""
    asked: dict[int, str] = {}
    seconds: dict[str, float] = defaultdict(float)
    tasks: dict[str, int] = defaultdict(int)
    begun = ended = 0
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for told in lines:
        match told["Event"]:
            case "SparkListenerApplicationStart":
                begun = told["Timestamp"]
            case "SparkListenerApplicationEnd":
                ended = told["Timestamp"]
            case "SparkListenerStageSubmitted":
                info = told["Stage Info"]
                place = re.search(r"at \S*?(\w+\.py:\d+)", info["Stage Name"])
                asked[info["Stage ID"]] = place[1] if place else "elsewhere in a thread: gold"
            case "SparkListenerTaskEnd":
                name, info = asked[told["Stage ID"]], told["Task Info"]
                seconds[name] += (info["Finish Time"] - info["Launch Time"]) / 1000
                tasks[name] += 1
    print("| asked for at | tasks | task s |\n| --- | ---: | ---: |")
    for name, spent in sorted(seconds.items(), key=lambda one: -one[1]):
        print(f"| {name} | {tasks[name]} | {spent:.1f} |")
    print(f"\n{sum(seconds.values()):.1f} task s in {(ended - begun) / 1000:.1f} s of the application")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
