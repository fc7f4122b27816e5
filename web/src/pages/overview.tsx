/** The plant at a glance: what needs somebody, what is on and until when, and the zones with their values. */

import { computed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { clock, compare, now, quantity } from "../core/format";
import { actuatorName, deviceName, issuerName, levelName, sensorType } from "../core/names";
import { actuators, devices, health, safety, sensors } from "../core/plant";
import { hrefTo } from "../core/router";
import type { Actuator, Device } from "../core/types";
import { Card, Chip, Empty, Foreign, Loading, Title } from "../ui/parts";
import { words } from "../words/words";
import { OffButton } from "./switching";
import { HeldAutomation, StopPanel } from "./stops";

const POORLY = 60;
const MOST_NAMED = 5;

export function OverviewPage() {
  const text = words.value;
  return (
    <>
      <Title>{text.overview}</Title>
      <Attention />
      <OnNow />
      <Zones />
    </>
  );
}

function Attention() {
  const text = words.value;
  const found = devices.value && health.value && safety.value ? troubles(devices.value, health.value, safety.value) : null;
  return (
    <Card heading={text.attention}>
      {found === null ? (
        <Loading />
      ) : devices.value?.size === 0 && found.length === 0 ? (
        <Empty text={text.emptySite} advice={text.emptySiteAdvice} />
      ) : found.length === 0 ? (
        <p class="all-well">
          <Chip tone="good">{text.allWell}</Chip> {text.allWellMore(health.value?.devices.online ?? 0)}
        </p>
      ) : (
        <ul class="troubles">{found}</ul>
      )}
    </Card>
  );
}

function troubles(
  all: ReadonlyMap<string, Device>,
  state: NonNullable<typeof health.value>,
  stops: NonNullable<typeof safety.value>,
): ComponentChildren[] {
  const text = words.value;
  const found: ComponentChildren[] = stops.stops.map((stop) => <StopPanel key={`stop ${stop.scope}`} stop={stop} />);
  if (stops.automation_held.length > 0) found.push(<HeldAutomation key="held" scopes={stops.automation_held} />);
  if (stops.alarm)
    found.push(
      <Trouble key="alarm" tone="bad" heading={text.safetyAlarm}>
        <Foreign text={stops.alarm} />
      </Trouble>,
    );
  if (!stops.latched) found.push(<Trouble key="latch" tone="bad" heading={text.notLatched} advice={text.notLatchedAdvice} />);
  if (!state.broker.connected)
    found.push(
      <Trouble key="broker" tone="bad" heading={text.brokerAway} advice={text.brokerAwayAdvice(state.broker.address)}>
        {state.broker.error && <Foreign text={state.broker.error} class="faint" />}
      </Trouble>,
    );
  if (!state.database.ok)
    found.push(
      <Trouble key="database" tone="bad" heading={text.databaseAway} advice={text.databaseAwayAdvice}>
        <Foreign text={state.database.error} class="faint" />
      </Trouble>,
    );
  if (state.actors.not_up > 0)
    found.push(
      <Trouble key="actors" tone="warn" heading={text.actorsDown(state.actors.not_up)} advice={text.actorsDownAdvice}>
        {state.actors.paths.slice(0, MOST_NAMED).join(", ")}
      </Trouble>,
    );
  for (const warning of state.warnings)
    found.push(
      <Trouble key={warning} tone="warn" heading={text.gatewayWarning}>
        <Foreign text={warning} />
      </Trouble>,
    );
  const rows = [...all.values()];
  const pending = rows.filter((device) => device.status === "pending_approval");
  const approved = rows.filter((device) => device.status === "approved");
  const offline = approved.filter((device) => !device.online);
  if (pending.length > 0)
    found.push(
      <Trouble key="pending" tone="warn" heading={text.pendingDevices(pending.length)} advice={text.pendingDevicesAdvice}>
        <DeviceLinks devices={pending} />
      </Trouble>,
    );
  if (offline.length > 0)
    found.push(
      <Trouble key="offline" tone="bad" heading={text.offlineDevices(offline.length)} advice={text.offlineDevicesAdvice}>
        <DeviceLinks devices={offline} />
      </Trouble>,
    );
  for (const device of approved.filter((one) => one.online && one.health < POORLY).slice(0, MOST_NAMED))
    found.push(
      <Trouble key={`health ${device.device_id}`} tone="warn" heading={text.unhealthyDevice(deviceName(device))}>
        <a href={hrefTo("devices", device.device_id)}>
          {device.health_reasons.map((reason, at) => (
            <span key={reason}>
              {at > 0 && "; "}
              <Foreign text={reason} />
            </span>
          ))}
        </a>
      </Trouble>,
    );
  for (const device of approved.filter((one) => one.config_sync === "failed").slice(0, MOST_NAMED))
    found.push(
      <Trouble key={`config ${device.device_id}`} tone="warn" heading={text.configFailed(deviceName(device))}>
        <a href={hrefTo("devices", device.device_id)}>{text.configFailedAdvice}</a>
      </Trouble>,
    );
  return found;
}

function Trouble({ tone, heading, advice, children }: { tone: "bad" | "warn"; heading: string; advice?: string; children?: ComponentChildren }) {
  return (
    <li class={`trouble ${tone}`}>
      <h3 dir="auto">{heading}</h3>
      {advice && <p>{advice}</p>}
      {children && <p>{children}</p>}
    </li>
  );
}

function DeviceLinks({ devices: rows }: { devices: readonly Device[] }) {
  return (
    <>
      {rows.slice(0, MOST_NAMED).map((device, at) => (
        <span key={device.device_id}>
          {at > 0 && ", "}
          <a href={hrefTo("devices", device.device_id)} class="long">
            <bdi>{deviceName(device)}</bdi>
          </a>
        </span>
      ))}
      {rows.length > MOST_NAMED && (
        <>
          {", "}
          <a href={hrefTo("devices")}>…</a>
        </>
      )}
    </>
  );
}

const running = computed(() =>
  [...(actuators.value?.values() ?? [])]
    .filter((one) => (one.reported_value ?? 0) > 0 || one.desired_value > 0)
    .sort((a, b) => (a.lease_until ?? Infinity) - (b.lease_until ?? Infinity)),
);

function OnNow() {
  const text = words.value;
  return (
    <Card heading={text.onNow} side={<a href={hrefTo("actuators")}>{text.actuators}</a>}>
      {actuators.value === null ? (
        <Loading />
      ) : running.value.length === 0 ? (
        <Empty text={text.nothingOn} />
      ) : (
        <ul class="tiles">
          {running.value.map((one) => (
            <Running key={`${one.esp_id}/${one.gpio}`} actuator={one} />
          ))}
        </ul>
      )}
    </Card>
  );
}

function Running({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  const device = devices.value?.get(actuator.esp_id);
  return (
    <li class="tile on">
      <a class="tile-name long" href={hrefTo("actuators", actuator.esp_id, actuator.gpio)}>
        <bdi>{actuatorName(actuator)}</bdi>
      </a>
      <span class="faint long">
        <bdi>{device ? deviceName(device) : actuator.esp_id}</bdi>
      </span>
      <span class="big">{levelName(actuator.reported_value)}</span>
      <Lease actuator={actuator} />
      <span class="faint long" dir="auto">
        {actuator.owner && `${text.owner} ${issuerName(actuator.owner)}`}
      </span>
      <OffButton actuator={actuator} />
    </li>
  );
}

/** What is left until it goes off by itself, running down. */
export function Lease({ actuator }: { actuator: Actuator }) {
  const text = words.value;
  if (actuator.lease_until === null) return <span class="faint">{text.noEnd}</span>;
  const left = Math.max(0, actuator.lease_until - now.value);
  const whole = actuator.on_since === null ? actuator.max_runtime_s : Math.max(1, actuator.lease_until - actuator.on_since);
  return (
    <span class="lease">
      <span>{text.left(clock(left))}</span>
      <progress max={whole} value={Math.min(whole, left)} aria-label={text.until} />
    </span>
  );
}

interface Zone {
  id: string;
  name: string;
  online: number;
  total: number;
  kinds: Map<string, Kind>;
}

interface Kind {
  unit: string;
  low: number;
  high: number;
  sum: number;
  count: number;
}

/** From the values of all sensors; drawn at most once a turn of the browser. */
const zones = computed<Zone[] | null>(() => {
  if (devices.value === null) return null;
  const found = new Map<string, Zone>();
  const zoneOf = new Map<string, Zone>();
  for (const device of devices.value.values()) {
    if (device.status !== "approved") continue;
    let zone = found.get(device.zone_id);
    if (!zone) {
      zone = { id: device.zone_id, name: "", online: 0, total: 0, kinds: new Map() };
      found.set(device.zone_id, zone);
    }
    zone.name ||= device.zone_name;
    zone.total += 1;
    zone.online += device.online ? 1 : 0;
    zoneOf.set(device.device_id, zone);
  }
  for (const one of sensors.value?.values() ?? []) {
    const sensor = one.value;
    const value = sensor.latest?.value;
    const zone = zoneOf.get(sensor.esp_id);
    if (!zone || value === null || value === undefined) continue;
    const kind = zone.kinds.get(sensor.sensor_type);
    if (!kind) zone.kinds.set(sensor.sensor_type, { unit: sensor.latest?.unit ?? "", low: value, high: value, sum: value, count: 1 });
    else {
      kind.low = Math.min(kind.low, value);
      kind.high = Math.max(kind.high, value);
      kind.sum += value;
      kind.count += 1;
    }
  }
  return [...found.values()].sort((a, b) => compare(a.name || a.id || "\uffff", b.name || b.id || "\uffff"));
});

function Zones() {
  const text = words.value;
  const found = zones.value;
  return (
    <Card heading={text.zones}>
      {found === null ? (
        <Loading />
      ) : found.length === 0 ? (
        <Empty text={text.noZones} />
      ) : (
        <ul class="zones">
          {found.map((zone) => (
            <li key={zone.id}>
              <h3 class="long">
                <bdi>{zone.name || zone.id || text.noZone}</bdi>
              </h3>
              <p class="faint">{text.zoneOnline(zone.online, zone.total)}</p>
              {zone.kinds.size === 0 ? (
                <p class="faint">{text.noValues}</p>
              ) : (
                <dl class="values">
                  {[...zone.kinds].map(([kind, one]) => (
                    <div key={kind}>
                      <dt>{sensorType(kind)}</dt>
                      <dd class="big">{quantity(one.sum / one.count, one.unit)}</dd>
                      <dd class="faint">
                        {one.count > 1 ? text.range(quantity(one.low, one.unit), quantity(one.high, one.unit)) : "\u00a0"}
                      </dd>
                    </div>
                  ))}
                </dl>
              )}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
