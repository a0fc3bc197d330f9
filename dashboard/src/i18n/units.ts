/** Units as people of each department read them; readings carry SI and money in fen. */

export type Shown = readonly [unit: string, factor: number];

const KM: Shown = ['km', 1e-3];
const MPA: Shown = ['MPa', 1e-6];
const HOURS: Shown = ['h', 1 / 3600];

/** By the declared unit, then by field, or by kind and field; the empty field stands for all others. */
export const SHOWN_AS: Readonly<Record<string, Readonly<Record<string, Shown>>>> = {
  'm/s': { '': ['km/h', 3.6], wind_speed: ['m/s', 1] },
  m: { mileage: KM, range: KM, distance: KM, empty_distance: KM, length: KM },
  s: { hours: HOURS, burning: HOURS },
  Pa: {
    '': ['kPa', 1e-3],
    pressure: MPA,
    inlet_pressure: MPA,
    supply_pressure: MPA,
    return_pressure: MPA,
    'dust_station.pressure': ['hPa', 1e-2],
  },
  J: { '': ['kWh', 1 / 3.6e6] },
  W: { '': ['kW', 1e-3], 'streetlight.power': ['W', 1], 'streetlight.rated_power': ['W', 1] },
  var: { '': ['kvar', 1e-3] },
  'Ω': { '': ['kΩ', 1e-3] },
  'm³/s': { '': ['m³/h', 3600] },
  fen: { '': ['yuan', 1e-2] },
};
