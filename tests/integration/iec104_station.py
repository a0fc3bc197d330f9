"""The library c104 (GPL) as a process of its own: no code of ours is linked to it.

``station PORT`` listens, prints ``ready`` and reports what lines of standard input say: ``address value``.
``client PORT`` prints ``ready``, connects, and prints a line for each point it hears: ``address value quality``.
Annotations here are types, not texts: c104 looks at them.
"""

import sys
import threading
import time
from typing import Any

import c104

TYPES: dict[int, tuple[Any, Any]] = {
    1: (c104.Type.M_SP_NA_1, True),
    2: (c104.Type.M_ME_NC_1, 10.5),
    3: (c104.Type.M_DP_NA_1, c104.Double.ON),
    4: (c104.Type.M_ME_NB_1, c104.Int16(-25)),
    5: (c104.Type.M_ME_NA_1, c104.NormalizedFloat(0.5)),
    6: (c104.Type.M_ST_NA_1, c104.Int7(-3)),
    7: (c104.Type.M_BO_NA_1, c104.Byte32(5)),
    8: (c104.Type.M_ME_TF_1, 220.25),
    9: (c104.Type.M_SP_TB_1, True),
}


def station(port: int) -> None:
    server = c104.Server(ip="127.0.0.1", port=port)
    made = server.add_station(common_address=47)
    points = {ioa: made.add_point(io_address=ioa, type=kind) for ioa, (kind, _) in TYPES.items()}
    for ioa, (_, value) in TYPES.items():
        points[ioa].value = value
    server.start()
    print("ready", flush=True)
    for line in sys.stdin:
        ioa, value = line.split()
        points[int(ioa)].value = float(value) if int(ioa) in (2, 8) else value == "1"
        points[int(ioa)].transmit(cause=c104.Cot.SPONTANEOUS)
    server.stop()


def heard(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    quality = "invalid" if c104.Quality.Invalid in point.quality else "good"
    print(point.io_address, point.value, quality, flush=True)
    return c104.ResponseState.SUCCESS


def client(port: int) -> None:
    made = c104.Client()
    connection = made.add_connection(ip="127.0.0.1", port=port, init=c104.Init.MUTED)
    remote = connection.add_station(common_address=47)
    for ioa in (1, 2, 8):
        remote.add_point(io_address=ioa, type=TYPES[ioa][0]).on_receive(callable=heard)
    print("ready", flush=True)
    made.start()
    while not connection.is_connected or connection.is_muted:
        connection.unmute()  # sends STARTDT; c104 sometimes leaves this out when it begins by itself
        time.sleep(0.1)
    connection.interrogation(common_address=47, wait_for_response=False)
    threading.Event().wait()


{"station": station, "client": client}[sys.argv[1]](int(sys.argv[2]))
