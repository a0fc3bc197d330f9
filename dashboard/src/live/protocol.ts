/** The websocket's language as the page uses it: what schemas/ declares, with names for its parts. */
import type { Alert, AlertEvent, Command, ConnectorState, Event, Hello } from '../generated/messages';
import { LAYERS } from '../generated/messages';

export { FRAME, LAYERS, NO_U16, PROTO, STATE, VALUE } from '../generated/messages';
export type {
  Alert,
  AlertEvent,
  Alerts,
  Command,
  ConnectorState,
  FromClient,
  FromServer,
  Kpi,
  Names,
  Problem,
  Result,
  Subscribe,
  Tick,
  Welcome,
} from '../generated/messages';

export type LiveEvent = Event;
export type LayerKind = (typeof LAYERS)[number];
export type Severity = Alert['severity'];
export type Status = Alert['status'];
export type Action = Command['action'];
export type Change = AlertEvent['change'];
export type Health = ConnectorState['health'];
export type Lang = NonNullable<Hello['lang']>;
