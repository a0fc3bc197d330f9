"""Payments: what households and firms paid for water, electricity, gas and heat."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.reading import Grade, Reading, meta


class BillPayment(Reading, frozen=True, kw_only=True, tag="bill_payment"):
    """One payment of a utility bill; ``source`` is the keyed hash of the account, ``ts`` when it was paid."""

    domain: ClassVar[str] = "payments"
    labels: ClassVar[tuple[str, str]] = ("缴费记录", "Bill payment")
    parts: ClassVar[tuple[str, ...]] = ("bill",)
    lateness_s: ClassVar[float] = 2 * 86_400.0
    interval_s: ClassVar[float] = 31 * 86_400.0
    retention_s: ClassVar[float] = 5 * 366 * 86_400.0

    bill: Annotated[str, meta("缴费单号", "Number of the payment", max_length=64, grade=Grade.SENSITIVE)]
    utility: Annotated[str, meta("缴费类别", "water, electricity, gas, heat or other", max_length=16)]
    amount: Annotated[int, meta("金额", "Amount paid", "fen", ge=-(10**12), le=10**12, grade=Grade.SENSITIVE)]
    balance: Annotated[int, meta("余额", "Balance afterwards", "fen", ge=-(10**12), le=10**12, grade=Grade.SENSITIVE)] | None = (
        None
    )
    channel: Annotated[str, meta("渠道", "Channel, as the payer's system names it", max_length=32)] | None = None
    district: Annotated[str, meta("片区", "Billing district", max_length=64)] | None = None
    volume: Annotated[float, meta("用量", "Volume billed", "m³", ge=0, le=1e9)] | None = None
    energy: Annotated[float, meta("用能", "Energy billed", "J", ge=0, le=1e18)] | None = None
