"""quixstreams over Arrow frames: its own batching sink gathers them, numpy makes the windows.

``quixstreams_frames.py BROKER TOPIC RESULTS READINGS FOLDER``
"""

import sys

from arrow_windows import Windows, decode, encode
from confluent_kafka import Producer
from progress import begin, expect, seen
from quixstreams import Application
from quixstreams.sinks import BatchingSink

BROKER, TOPIC, RESULTS, READINGS, FOLDER = sys.argv[1:6]
EVERY = 256
"""Frames between two checkpoints: what the sink is given at once."""


class WindowSink(BatchingSink):
    """Windows of the frames of a batch; their state is in memory only."""

    def __init__(self):
        super().__init__()
        self._windows = Windows()
        self._producer = Producer({"bootstrap.servers": BROKER, "message.max.bytes": 4 << 20})

    def write(self, batch):
        """Take in a batch and tell the windows it closed."""
        begin()
        table = decode([item.value for item in batch])
        closed = self._windows.add(table)
        for value in encode(closed) if closed is not None else ():
            self._producer.produce(RESULTS, value)
        self._producer.flush()
        seen(table.num_rows)


def main():
    """Run until ended."""
    expect(int(READINGS))
    app = Application(
        broker_address=BROKER, consumer_group=f"bench-{RESULTS}", auto_offset_reset="earliest", state_dir=FOLDER, loglevel="ERROR",
        commit_every=EVERY, consumer_extra_config={"max.partition.fetch.bytes": 4 << 20},
    )  # fmt: skip
    frames = app.topic(TOPIC, value_deserializer="bytes", key_deserializer="bytes")
    app.dataframe(frames).sink(WindowSink())
    app.run()


if __name__ == "__main__":
    main()
