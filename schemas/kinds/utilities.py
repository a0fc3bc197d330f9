"""Utilities: water, power, gas, heating, and meters of all of them. Energy is in joules, volume in cubic metres."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Latitude, Longitude
from schemas.reading import Grade, Reading, meta

Pressure = Annotated[float, meta("压力", "Gauge pressure", "Pa", ge=-1e5, le=2e7)]
Flow = Annotated[float, meta("流量", "Volume flow", "m³/s", ge=-1000, le=1000)]
Volume = Annotated[float, meta("累计流量", "Volume on the counter", "m³", ge=0, le=1e12)]
Temperature = Annotated[float, meta("温度", "Temperature", "°C", ge=-60, le=500)]
Energy = Annotated[float, meta("累计能量", "Energy on the counter", "J", ge=0, le=1e18)]
Power = Annotated[float, meta("功率", "Active power", "W", ge=-1e10, le=1e10)]
Voltage = Annotated[float, meta("电压", "Voltage", "V", ge=0, le=1e6)]
Current = Annotated[float, meta("电流", "Current", "A", ge=-1e5, le=1e5)]
Share = Annotated[float, meta("比例", "Share", "%", ge=0, le=100)]
State = Annotated[str, meta("状态", "State as the source names it", max_length=32)]
Flag = Annotated[str, meta("数据标记", "Quality as sent: empty or good is sound, anything else is doubtful", max_length=32)]


class Utility(Reading, frozen=True, kw_only=True):
    """The base of every kind of the utilities: department, patience, and the quality its protocol sends along."""

    domain: ClassVar[str] = "utilities"
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 60.0
    retention_s: ClassVar[float] = 2 * 366 * 86_400.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    flag: Flag | None = None


class WaterNode(Utility, frozen=True, kw_only=True, tag="water_node"):
    """A point of the water network: pressure, flow, quality, pump state."""

    labels: ClassVar[tuple[str, str]] = ("供水监测点", "Water node")
    metrics: ClassVar[tuple[str, ...]] = ("pressure", "flow", "level", "turbidity", "chlorine")

    pressure: Pressure | None = None
    flow: Flow | None = None
    volume: Volume | None = None
    level: Annotated[float, meta("液位", "Level above the sensor's zero", "m", ge=-100, le=1000)] | None = None
    temperature: Temperature | None = None
    turbidity: Annotated[float, meta("浊度", "Turbidity", "NTU", ge=0, le=4000, grade=Grade.PUBLIC)] | None = None
    chlorine: Annotated[float, meta("余氯", "Free chlorine", "g/m³", ge=0, le=100, grade=Grade.PUBLIC)] | None = None
    ph: Annotated[float, meta("酸碱度", "Acidity pH", ge=0, le=14, grade=Grade.PUBLIC)] | None = None
    pump_on: Annotated[bool, meta("水泵运行", "A pump runs")] | None = None


class PowerLoad(Utility, frozen=True, kw_only=True, tag="power_load"):
    """A feeder, transformer or substation: voltages, currents, load, frequency, switch state."""

    labels: ClassVar[tuple[str, str]] = ("电力负荷", "Power load")
    metrics: ClassVar[tuple[str, ...]] = ("voltage_a", "power", "load", "frequency", "oil_temperature")

    voltage_a: Voltage | None = None
    voltage_b: Voltage | None = None
    voltage_c: Voltage | None = None
    current_a: Current | None = None
    current_b: Current | None = None
    current_c: Current | None = None
    power: Power | None = None
    reactive_power: Annotated[float, meta("无功功率", "Reactive power", "var", ge=-1e10, le=1e10)] | None = None
    power_factor: Annotated[float, meta("功率因数", "Power factor", ge=-1, le=1)] | None = None
    frequency: Annotated[float, meta("频率", "Frequency", "Hz", ge=0, le=100)] | None = None
    load: Annotated[float, meta("负载率", "Load as a share of the rating", "%", ge=0, le=1000)] | None = None
    oil_temperature: Temperature | None = None
    closed: Annotated[bool, meta("开关合闸", "The switch is closed")] | None = None


class GasNode(Utility, frozen=True, kw_only=True, tag="gas_node"):
    """A gas regulator, valve pit or detector: pressures, flow, concentration."""

    labels: ClassVar[tuple[str, str]] = ("燃气监测点", "Gas node")
    metrics: ClassVar[tuple[str, ...]] = ("inlet_pressure", "outlet_pressure", "flow", "lel")

    inlet_pressure: Pressure | None = None
    outlet_pressure: Pressure | None = None
    flow: Flow | None = None
    volume: Volume | None = None
    temperature: Temperature | None = None
    lel: Annotated[float, meta("可燃气体浓度", "Share of the lower explosive limit", "%", ge=0, le=2000)] | None = None
    valve_open: Annotated[bool, meta("阀门开", "The valve is open")] | None = None
    battery: Share | None = None


class HeatSubstation(Utility, frozen=True, kw_only=True, tag="heat_substation"):
    """A heat exchange station or a room of its network: temperatures, pressures, flow, heat."""

    labels: ClassVar[tuple[str, str]] = ("换热站", "Heat substation")
    metrics: ClassVar[tuple[str, ...]] = (
        "supply_temperature",
        "return_temperature",
        "supply_pressure",
        "flow",
        "room_temperature",
    )

    supply_temperature: Temperature | None = None
    return_temperature: Temperature | None = None
    secondary_supply_temperature: Temperature | None = None
    secondary_return_temperature: Temperature | None = None
    room_temperature: Temperature | None = None
    outdoor_temperature: Temperature | None = None
    supply_pressure: Pressure | None = None
    return_pressure: Pressure | None = None
    flow: Flow | None = None
    power: Annotated[float, meta("热功率", "Heat output", "W", ge=-1e10, le=1e10)] | None = None
    energy: Energy | None = None
    makeup_flow: Annotated[float, meta("补水流量", "Make-up water flow", "m³/s", ge=0, le=100)] | None = None
    pump_on: Annotated[bool, meta("循环泵运行", "A circulation pump runs")] | None = None


class MeterReading(Utility, frozen=True, kw_only=True, tag="meter_reading"):
    """What a customer's or a building's meter shows: electricity, water, heat or gas."""

    labels: ClassVar[tuple[str, str]] = ("抄表读数", "Meter reading")
    metrics: ClassVar[tuple[str, ...]] = ("power", "flow", "voltage")
    parts: ClassVar[tuple[str, ...]] = ("register",)
    lateness_s: ClassVar[float] = 3600.0
    interval_s: ClassVar[float] = 900.0

    medium: Annotated[str, meta("介质", "electricity, water, hot_water, heat, cooling or gas", max_length=16)]
    register: Annotated[str, meta("寄存器", "Data identifier as the standard writes it", max_length=32)] | None = None
    energy: Energy | None = None
    reverse_energy: Annotated[float, meta("反向能量", "Energy fed back on the counter", "J", ge=0, le=1e18)] | None = None
    volume: Volume | None = None
    settlement_volume: Annotated[float, meta("结算日流量", "Volume at the settlement day", "m³", ge=0, le=1e12)] | None = None
    settlement_energy: Annotated[float, meta("结算日能量", "Energy at the settlement day", "J", ge=0, le=1e18)] | None = None
    power: Power | None = None
    flow: Flow | None = None
    voltage: Voltage | None = None
    current: Current | None = None
    frequency: Annotated[float, meta("频率", "Frequency", "Hz", ge=0, le=100)] | None = None
    supply_temperature: Temperature | None = None
    return_temperature: Temperature | None = None
    hours: Annotated[float, meta("工作时间", "Hours of operation on the counter", "s", ge=0, le=1e10)] | None = None
    valve: Annotated[str, meta("阀门", "open, closed or fault", max_length=8)] | None = None
    battery_low: Annotated[bool, meta("电池欠压", "The battery is low")] | None = None
    state: State | None = None
