"""A device without sockets, for simulators and tests: four tables of values that answer requests."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from connectors.modbus import encoder, pdu
from schemas.errors import Reject

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
READS: Final = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
ON: Final = 0xFF00


class Bank:
    """Units and their tables; ``tables[unit, "holding"][address]`` is a register, and what is not there is refused."""

    def __init__(self, *, serial: bool = False) -> None:
        self.tables: defaultdict[tuple[int, str], dict[int, int]] = defaultdict(dict)
        self._serial = serial

    def answer(self, packet: bytes) -> bytes:
        """Give the response to a request, as an exception where it cannot be met."""
        transaction = None if self._serial else int.from_bytes(packet[:2])
        unit, body = (packet[0], packet[1:-2]) if self._serial else (packet[6], packet[7:])
        try:
            fields = pdu.read(body, "request")
            answered = self._meet(unit, body[0], fields)
        except Reject:
            answered = encoder.error(body[0], ILLEGAL_VALUE)
        except KeyError:
            answered = encoder.error(body[0], ILLEGAL_ADDRESS)
        return encoder.frame(transaction, unit, answered)

    def _meet(self, unit: int, code: int, fields: dict[str, Any]) -> bytes:
        if code in READS:
            table = self.tables[unit, READS[code]]
            count = fields["bit_cnt" if code <= 2 else "word_cnt"]
            if not 1 <= count <= (2000 if code <= 2 else 125):
                return encoder.error(code, ILLEGAL_VALUE)
            start = fields["reference_num"]
            values = [table[address] for address in range(start, start + count)]
            return encoder.response(code, **{"bits" if code <= 2 else "regval_uint16": values})
        if code in (5, 15):
            bits = fields["bits"] if code == 15 else [int(fields["output_value"] == ON)]
            self._put(unit, "coil", fields["reference_num"], bits)
            return encoder.response(code, **fields)
        if code in (6, 16):
            self._put(unit, "holding", fields["reference_num"], fields["regval_uint16"])
            return encoder.response(code, **fields)
        return encoder.error(code, ILLEGAL_FUNCTION)

    def _put(self, unit: int, name: str, start: int, values: list[int]) -> None:
        table = self.tables[unit, name]
        if any(address not in table for address in range(start, start + len(values))):
            raise KeyError(start)
        table.update(enumerate(values, start))
