"""bytewax: JSON records into its event-time windows, closed windows to a topic; ends with the topic.

``bytewax_json.py BROKER TOPIC RESULTS READINGS FOLDER METRIC,...``
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from progress import begin, expect, seen

BROKER, TOPIC, RESULTS, READINGS, FOLDER = sys.argv[1:6]
METRICS = sys.argv[6].split(",")
ALIGN = datetime(2020, 1, 1, tzinfo=UTC)


def parse(message):
    """Give the source and the reading."""
    begin()
    reading = json.loads(message.value)
    return reading["source"], reading


def event_time(reading):
    """Give a reading's own time, not the broker's."""
    return datetime.fromtimestamp(reading["ts"] / 1000, UTC)


def fold(state, reading):
    """Take in a reading: count, then sum, minimum and maximum of each metric."""
    seen()
    if state:
        state[0] += 1
        at = 1
        for name in METRICS:
            value = reading[name]
            state[at] += value
            if value < state[at + 1]:  # noqa: PLR1730 - a call of min costs more
                state[at + 1] = value
            if value > state[at + 2]:  # noqa: PLR1730 - a call of max costs more
                state[at + 2] = value
            at += 3
    else:
        state.append(1)
        for name in METRICS:
            state += [reading[name]] * 3
    return state


def merge(left, right):
    """Never called: tumbling windows do not merge."""
    raise NotImplementedError


def tell(item):
    """Give a closed window as it is told."""
    source, (window, state) = item
    start = round((ALIGN + window * timedelta(minutes=1)).timestamp() * 1000)
    told = {"source": source, "start": start, "count": state[0]}
    for at, name in enumerate(METRICS):
        total, low, high = state[1 + 3 * at : 4 + 3 * at]
        told |= {f"{name}_mean": total / state[0], f"{name}_min": low, f"{name}_max": high}
    return KafkaSinkMessage(source.encode(), json.dumps(told).encode())


def main():
    """Run to the end of the topic, then wait to be ended."""
    expect(int(READINGS))
    flow = Dataflow("bench")
    messages = op.input("readings", flow, KafkaSource([BROKER], [TOPIC], tail=False))
    keyed = op.map("parse", messages, parse)
    clock = win.EventClock(event_time, wait_for_system_duration=timedelta(minutes=1))
    windower = win.TumblingWindower(length=timedelta(minutes=1), align_to=ALIGN)
    windows = win.fold_window("windows", keyed, clock, windower, list, fold, merge)
    op.output("tell", op.map("flat", windows.down, tell), KafkaSink([BROKER], RESULTS))
    run_main(flow)
    time.sleep(600)


if __name__ == "__main__":
    main()
