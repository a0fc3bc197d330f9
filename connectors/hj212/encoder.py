"""HJ 212 frames built from fields: uploads of a station and the replies of a platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

from connectors.hj212.checksum import VARIANTS

BEIJING = timezone(timedelta(hours=8))
"""Every time in HJ 212 is Beijing time without an offset."""
DUST = "39"
"""System type of construction-site dust monitoring, HJ 212-2017 table 5."""


def frame(segment: str | bytes, crc: str = "annex_a") -> bytes:
    """Wrap a data segment: ``##``, its length in bytes, the segment, its check code, CRLF."""
    body = segment.encode() if isinstance(segment, str) else segment
    if len(body) > 9999:
        msg = f"a segment of {len(body)} bytes does not fit the four digits of its length"
        raise ValueError(msg)
    return b"##%04d%s%04X\r\n" % (len(body), body, VARIANTS[crc](body))


def upload(
    *,
    qn: str,
    st: str,
    cn: str,
    pw: str,
    mn: str,
    flag: str | int | None,
    cp: Sequence[Mapping[str, str]] | str,
    crc: str = "annex_a",
    part: tuple[int, int] | None = None,
) -> bytes:
    """Give a whole frame of any command, its segment made as ``segment`` does."""
    return frame(segment(qn=qn, st=st, cn=cn, pw=pw, mn=mn, flag=flag, cp=cp, part=part), crc)


def segment(
    *,
    qn: str,
    st: str,
    cn: str,
    pw: str,
    mn: str,
    flag: str | int | None,
    cp: Sequence[Mapping[str, str]] | str,
    part: tuple[int, int] | None = None,
) -> str:
    """Give the data segment of any command; empty ``qn`` and absent ``flag`` are left out as in the 2005 edition.

    ``cp`` holds one mapping per item, or is the text between the ``&&``; ``part`` is (PNUM, PNO).
    """
    head = {"QN": qn, "ST": st, "CN": cn, "PW": pw, "MN": mn, "Flag": "" if flag is None else str(flag)}
    if part is not None:
        head |= {"PNUM": str(part[0]), "PNO": str(part[1])}
    items = cp if isinstance(cp, str) else ";".join(",".join(f"{k}={v}" for k, v in item.items()) for item in cp)
    return "".join(f"{k}={v};" for k, v in head.items() if v) + f"CP=&&{items}&&"


def reply(*, qn: str, mn: str, pw: str, flag: int, cn: str = "9014", crc: str = "annex_a") -> bytes:
    """Give the platform's answer to an upload: 9014 to data, 9013 to a notice (HJ 212-2017 table 9)."""
    return frame(answer(qn=qn, cn=cn, pw=pw, mn=mn, flag=flag), crc)


def answer(*, mn: str, pw: str, flag: int, qn: str = "", cn: str = "9014") -> str:
    """Give the data segment of ``reply``; what stands behind ``QN=...;`` in it does not depend on ``qn``."""
    return segment(qn=qn, st="91", cn=cn, pw=pw, mn=mn, flag=flag, cp="")


def realtime(
    mn: str,
    *,
    ts: int,
    values: Mapping[str, float | None],
    st: str = DUST,
    pw: str = "123456",
    qn: str = "",
    flags: Mapping[str, str] | None = None,
    ack: bool = True,
    crc: str = "annex_a",
) -> bytes:
    """Give CN=2011, momentary values by factor code, measured at ``ts`` (microseconds UTC).

    ``qn`` defaults to ``ts``; ``flags`` overrides the data flag N by code; ``None`` is sent as ``----``.
    """
    marks = flags or {}
    items = [{f"{code}-Rtd": number(value), f"{code}-Flag": marks.get(code, "N")} for code, value in values.items()]
    return _data("2011", mn, ts, items, st=st, pw=pw, qn=qn, ack=ack, crc=crc)


def minute(mn: str, *, ts: int, values: Mapping[str, float | None], **rest: str | bool) -> bytes:
    """Give CN=2051, averages of the minutes that began at ``ts``; further arguments as ``hourly``."""
    return _averages("2051", mn, ts, values, **rest)


def hourly(mn: str, *, ts: int, values: Mapping[str, float | None], **rest: str | bool) -> bytes:
    """Give CN=2061, averages of the hour that began at ``ts``; ``st``, ``pw``, ``qn``, ``ack``, ``crc`` as ``realtime``."""
    return _averages("2061", mn, ts, values, **rest)


def daily(mn: str, *, ts: int, values: Mapping[str, float | None], **rest: str | bool) -> bytes:
    """Give CN=2031, averages of the day that began at ``ts``; further arguments as ``hourly``."""
    return _averages("2031", mn, ts, values, **rest)


def _averages(cn: str, mn: str, ts: int, values: Mapping[str, float | None], **rest: str | bool) -> bytes:
    items = [
        {f"{code}-Min": number(v), f"{code}-Avg": number(v), f"{code}-Max": number(v), f"{code}-Flag": "N"}
        for code, v in values.items()
    ]
    return _data(cn, mn, ts, items, **rest)


def _data(cn: str, mn: str, ts: int, items: list[dict[str, str]], **rest: str | bool) -> bytes:
    return upload(
        qn=str(rest.get("qn") or "") or stamp(ts, millis=True),
        st=str(rest.get("st", DUST)),
        cn=cn,
        pw=str(rest.get("pw", "123456")),
        mn=mn,
        flag=5 if rest.get("ack", True) else 4,
        cp=[{"DataTime": stamp(ts)}, *items],
        crc=str(rest.get("crc", "annex_a")),
    )


def number(value: float | None) -> str:
    """Give a value as the standard writes it; absent is ``----``."""
    return "----" if value is None else f"{value:.10g}"


def stamp(ts: int, *, millis: bool = False) -> str:
    """Give microseconds UTC as yyyyMMddHHmmss, or with three digits of milliseconds as a QN has."""
    local = datetime.fromtimestamp(ts // 1_000_000, UTC).astimezone(BEIJING)
    text = local.strftime("%Y%m%d%H%M%S")
    return f"{text}{ts % 1_000_000 // 1000:03d}" if millis else text
