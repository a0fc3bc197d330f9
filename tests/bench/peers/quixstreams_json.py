"""quixstreams: JSON records into its tumbling windows with its own aggregations, closed windows to a topic.

``quixstreams_json.py BROKER TOPIC RESULTS READINGS FOLDER METRIC,...``
"""

import sys
from datetime import timedelta

from progress import expect, seen
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Mean, Min

BROKER, TOPIC, RESULTS, READINGS, FOLDER = sys.argv[1:6]
METRICS = sys.argv[6].split(",")


def event_time(value, headers, timestamp, kind):
    """Give a reading's own time, not the broker's."""
    return value["ts"]


def count(value):
    """Tell that a reading is about to be taken in."""
    seen()


def flat(window, source, timestamp, headers):
    """Give a closed window as it is told."""
    return {"source": source, **window}


def main():
    """Run until ended."""
    expect(int(READINGS))
    app = Application(
        broker_address=BROKER, consumer_group=f"bench-{RESULTS}", auto_offset_reset="earliest", state_dir=FOLDER, loglevel="ERROR"
    )
    readings = app.topic(TOPIC, value_deserializer="json", key_deserializer="str", timestamp_extractor=event_time)
    results = app.topic(RESULTS, value_serializer="json", key_serializer="str")
    wanted = {"count": Count()}
    for name in METRICS:
        wanted |= {f"{name}_mean": Mean(name), f"{name}_min": Min(name), f"{name}_max": Max(name)}
    frame = app.dataframe(readings).update(count)
    windows = frame.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(minutes=1)).agg(**wanted)
    windows.final(closing_strategy="partition").apply(flat, metadata=True).to_topic(results)
    app.run()


if __name__ == "__main__":
    main()
