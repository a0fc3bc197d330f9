"""Plain faust: JSON records into a tumbling windowed table.

``faust_json.py BROKER TOPIC RESULTS READINGS FOLDER [METRIC,...]``
"""

import json
import sys
import threading
from datetime import timedelta

import faust
from kafka import KafkaProducer
from progress import expect, seen

BROKER, TOPIC, RESULTS, READINGS, FOLDER = sys.argv[1:6]
METRICS = sys.argv[6].split(",")
expect(int(READINGS))

app = faust.App(
    f"bench-{RESULTS}", datadir=FOLDER, broker=f"kafka://{BROKER}", store="memory://", web_enabled=False, topic_partitions=1
)


def event_time(event):
    """Give a reading's own time in seconds, not the broker's."""
    return event.value["ts"] / 1000


readings = app.topic(TOPIC, value_serializer="json", partitions=1)
table = app.Table("windows", default=dict, partitions=1)
table = table.tumbling(timedelta(minutes=1), expires=timedelta(days=1)).relative_to(event_time)


def tell():
    """Give the finished table, once all was measured."""
    producer = KafkaProducer(bootstrap_servers=BROKER, linger_ms=50)
    for (source, (start, _)), state in list(table.table.items()):
        told = {"source": source, "start": round(start * 1000), "count": state["count"]}
        for name in METRICS:
            total, low, high = state[name]
            told |= {f"{name}_mean": total / state["count"], f"{name}_min": low, f"{name}_max": high}
        producer.send(RESULTS, json.dumps(told).encode())
    producer.flush()
    producer.close()


@app.agent(readings)
async def aggregate(stream):
    """Keep count, sum, minimum and maximum of each metric per source and minute of the reading's own time."""
    taken = 0
    async for reading in stream:
        window = table[reading["source"]]
        state = window.value() or {}
        state["count"] = state.get("count", 0) + 1
        for name in METRICS:
            value = reading[name]
            have = state.get(name)
            state[name] = [have[0] + value, min(have[1], value), max(have[2], value)] if have else [value, value, value]
        table[reading["source"]] = state
        seen()
        taken += 1
        if taken == int(READINGS):
            threading.Thread(target=tell).start()


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
