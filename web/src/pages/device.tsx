/** One device: whether it may take part, how it is, and what hangs on it. */

import { useSignal, type Signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ask } from "../core/api";
import { ago, compare, moment, number, quantity, span } from "../core/format";
import { deviceName, issuerName, sensorName, sensorType } from "../core/names";
import { actuators, devices, readDevice, sensorKey, sensors } from "../core/plant";
import { hrefTo } from "../core/router";
import { mayOperate } from "../core/session";
import type { Device, Sensor } from "../core/types";
import { Dialog } from "../ui/dialog";
import { ActionButton, Card, DeviceState, Empty, Facts, Field, Foreign, Loading, Title } from "../ui/parts";
import { words } from "../words/words";
import { ActuatorRow } from "./actuators";

export function DevicePage({ deviceId }: { deviceId: string }) {
  const text = words.value;
  const device = devices.value?.get(deviceId);
  if (devices.value === null) return <Loading />;
  if (!device)
    return (
      <>
        <Title>{text.notFound}</Title>
        <Empty text={text.notFoundAdvice} />
        <p>
          <a href={hrefTo("devices")}>{text.devices}</a>
        </p>
      </>
    );
  return (
    <>
      <p class="crumb">
        <a href={hrefTo("devices")}>{text.devices}</a>
      </p>
      <Title side={<DeviceState device={device} />}>{deviceName(device)}</Title>
      <Decision device={device} />
      <div class="columns">
        <FactsCard device={device} />
        <SensorsCard deviceId={deviceId} />
        <ActuatorsCard deviceId={deviceId} />
      </div>
    </>
  );
}

/** Approve or reject; of an approved device the way back is small. */
function Decision({ device }: { device: Device }) {
  const text = words.value;
  const asked = useSignal<"approve" | "reject" | null>(null);
  const reason = useRef<HTMLInputElement>(null);
  if (!mayOperate.value) return null;
  const close = () => {
    asked.value = null;
  };
  const decide = async () => {
    const place = `/esp/devices/${encodeURIComponent(device.device_id)}/${asked.value}`;
    await ask(place, { method: "POST", body: { reason: reason.current?.value ?? "" } });
    await readDevice(device.device_id);
    close();
  };
  const isApproving = asked.value === "approve";
  return (
    <>
      <div class="buttons">
        {device.status !== "approved" && (
          <button type="button" class="primary" onClick={() => (asked.value = "approve")}>
            {text.approve}
          </button>
        )}
        {device.status !== "rejected" && (
          <button type="button" onClick={() => (asked.value = "reject")}>
            {text.reject}
          </button>
        )}
      </div>
      {asked.value && (
        <Dialog heading={isApproving ? text.approveQuestion(deviceName(device)) : text.rejectQuestion(deviceName(device))} close={close}>
          <p>{isApproving ? text.approveAdvice : text.rejectAdvice}</p>
          <Field label={text.reasonOptional}>{(ids) => <input {...ids} ref={reason} maxLength={100} />}</Field>
          <div class="buttons">
            <ActionButton class="primary" act={decide}>
              {isApproving ? text.approve : text.reject}
            </ActionButton>
            <button type="button" onClick={close}>
              {text.cancel}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function FactsCard({ device }: { device: Device }) {
  const text = words.value;
  const rows: [string, preact.ComponentChildren][] = [
    [text.address, `${device.device_id}${device.ip ? `, ${device.ip}` : ""}`],
    [text.zone, <bdi>{device.zone_name || device.zone_id || text.noZone}</bdi>],
    [text.board, <bdi>{device.board}</bdi>],
    [text.lastSeen, device.last_seen ? ago(device.last_seen) : text.never],
    [text.configuration, text.syncStates[device.config_sync] ?? device.config_sync],
  ];
  if (device.online && device.uptime_s !== null) rows.push([text.uptime, span(device.uptime_s)]);
  if (device.wifi_rssi) rows.push([text.wifi, text.wifiStrength(device.wifi_rssi)]);
  if (device.heap_free) rows.push([text.memory, `${number(device.heap_free / 1024)} KiB`]);
  if (device.registered_at) rows.push([text.firstSeen, moment(device.registered_at)]);
  if (device.decided_by) rows.push([text.decidedBy, <bdi>{issuerName(device.decided_by)}</bdi>]);
  return (
    <Card heading={text.facts} side={device.status === "approved" && device.online ? <span class="faint">{text.healthOf(device.health)}</span> : undefined}>
      {device.health_reasons.length > 0 && device.status === "approved" && (
        <ul class="reasons">
          {device.health_reasons.map((reason) => (
            <li key={reason}>
              <Foreign text={reason} />
            </li>
          ))}
        </ul>
      )}
      {device.config_error && (
        <p class="problem">
          {text.configuration}: <Foreign text={device.config_error} />
        </p>
      )}
      {device.placement_error && (
        <p class="problem">
          {text.zone}: <Foreign text={device.placement_error} />
        </p>
      )}
      <Facts rows={rows} />
    </Card>
  );
}

function SensorsCard({ deviceId }: { deviceId: string }) {
  const text = words.value;
  const mine = [...(sensors.value?.values() ?? [])]
    .filter((sensor) => sensor.peek().esp_id === deviceId)
    .sort((a, b) => a.peek().gpio - b.peek().gpio || compare(a.peek().sensor_type, b.peek().sensor_type));
  return (
    <Card heading={text.sensors}>
      {sensors.value === null ? (
        <Loading />
      ) : mine.length === 0 ? (
        <Empty text={text.noSensors} />
      ) : (
        <ul class="plain-rows">
          {mine.map((sensor) => (
            <SensorRow key={sensorKey(sensor.peek())} sensor={sensor} />
          ))}
        </ul>
      )}
    </Card>
  );
}

const DOUBTFUL = new Set(["suspect", "poor", "bad", "error", "stale"]);

function SensorRow({ sensor: shown }: { sensor: Signal<Sensor> }) {
  const text = words.value;
  const sensor = shown.value;
  const latest = sensor.latest;
  return (
    <li class="value-row">
      <span class="row-name">
        <bdi class="long strong">{sensorName(sensor)}</bdi>
        <span class="faint">
          {sensorType(sensor.sensor_type)} · {text.gpio(sensor.gpio)}
        </span>
      </span>
      <span class="value-side">
        {latest && latest.value !== null ? (
          <>
            <span class="big">{quantity(latest.value, latest.unit)}</span>
            <span class={DOUBTFUL.has(latest.quality) ? "doubt" : "faint"}>
              {text.qualities[latest.quality] ?? latest.quality}, {ago(latest.timestamp)}
            </span>
          </>
        ) : (
          <span class="faint">{text.noReading}</span>
        )}
      </span>
    </li>
  );
}

function ActuatorsCard({ deviceId }: { deviceId: string }) {
  const text = words.value;
  const mine = [...(actuators.value?.values() ?? [])].filter((one) => one.esp_id === deviceId).sort((a, b) => a.gpio - b.gpio);
  return (
    <Card heading={text.actuators}>
      {mine.length === 0 ? (
        <Empty text={text.noActuators} advice={text.noActuatorsAdvice} />
      ) : (
        <ul class="rows" aria-label={text.actuators}>
          {mine.map((one) => (
            <li key={one.gpio}>
              <ActuatorRow actuator={one} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
