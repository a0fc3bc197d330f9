"""bytewax over Arrow frames: its source's own batches of records, numpy makes the windows; ends with the topic.

``bytewax_frames.py BROKER TOPIC RESULTS READINGS FOLDER``
"""

import sys
import time

import bytewax.operators as op
from arrow_windows import Windows, decode, encode
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import run_main
from progress import begin, expect, seen

BROKER, TOPIC, RESULTS, READINGS, FOLDER = sys.argv[1:6]
TOGETHER = 256
"""Records the source gives at once."""


class WindowLogic(StatefulBatchLogic):
    """Windows of the frames of one partition; their state is in memory only."""

    def __init__(self):
        self._windows = Windows()

    def on_batch(self, values):
        """Take in what the source gave at once and give the windows it closed."""
        begin()
        table = decode(values)
        closed = self._windows.add(table)
        seen(table.num_rows)
        return (encode(closed) if closed is not None else ()), False

    def snapshot(self):
        """Give nothing: recovery is off."""
        return


def main():
    """Run to the end of the topic, then wait to be ended."""
    expect(int(READINGS))
    flow = Dataflow("bench")
    source = KafkaSource(
        [BROKER], [TOPIC], tail=False, batch_size=TOGETHER, add_config={"max.partition.fetch.bytes": str(4 << 20)}
    )
    frames = op.map("keyed", op.input("frames", flow, source), lambda m: ("0", m.value))
    closed = op.stateful_batch("windows", frames, lambda _: WindowLogic())
    op.output("tell", op.map("record", closed, lambda kv: KafkaSinkMessage(b"", kv[1])), KafkaSink([BROKER], RESULTS))
    run_main(flow)
    time.sleep(600)


if __name__ == "__main__":
    main()
