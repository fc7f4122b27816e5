/** What the page knows of the plant. REST is the truth; the live socket tells what to read again, and readings. */

import { batch, signal, type Signal } from "@preact/signals";
import { ask, askAll, Refusal } from "./api";
import type { Actuator, Device, Health, Reading, Rule, Safety, Sensor } from "./types";

export const devices = signal<ReadonlyMap<string, Device> | null>(null);
export const actuators = signal<ReadonlyMap<string, Actuator> | null>(null);
export const safety = signal<Safety | null>(null);
export const health = signal<Health | null>(null);
/** Each sensor is a signal of its own: a new reading draws one value again, and not a list. */
export const sensors = signal<ReadonlyMap<string, Signal<Sensor>> | null>(null);

/** By the id of the rule. */
export const ruleNames = signal<ReadonlyMap<string, string>>(new Map());

export interface LiveEvent {
  id: string;
  type: string;
  topic: string;
  at: number;
  esp_id: string | null;
  data: Record<string, unknown>;
}

export function actuatorKey(espId: string, gpio: number): string {
  return `${espId}/${gpio}`;
}

export function sensorKey(sensor: { esp_id: string; gpio: number; sensor_type: string; address: string }): string {
  return `${sensor.esp_id}/${sensor.gpio}/${sensor.sensor_type}/${sensor.address}`;
}

/** Throws Refusal, Unreachable. */
export async function readAll(): Promise<void> {
  await Promise.all([readHealth(), readSafety(), readDevices(), readActuators()]);
  await readSensors();
  await readRuleNames();
}

export async function readRuleNames(): Promise<void> {
  const rows = await askAll<Rule>("/logic/rules");
  ruleNames.value = new Map(rows.map((rule) => [String(rule.id), rule.name]));
}

export async function readHealth(): Promise<void> {
  health.value = await ask<Health>("/health");
}

export async function readSafety(): Promise<void> {
  safety.value = await ask<Safety>("/safety/status");
}

export async function readDevices(): Promise<void> {
  const rows = await askAll<Device>("/esp/devices");
  devices.value = new Map(rows.map((row) => [row.device_id, row]));
}

export async function readActuators(): Promise<void> {
  const rows = await askAll<Actuator>("/actuators");
  actuators.value = new Map(rows.map((row) => [actuatorKey(row.esp_id, row.gpio), row]));
}

export async function readSensors(): Promise<void> {
  const rows = await askAll<Sensor>("/sensors");
  const before = sensors.peek();
  batch(() => {
    const after = new Map<string, Signal<Sensor>>();
    for (const row of rows) {
      const key = sensorKey(row);
      const known = before?.get(key);
      if (known) known.value = row;
      after.set(key, known ?? signal(row));
    }
    sensors.value = after;
  });
}

export async function readDevice(deviceId: string): Promise<void> {
  await change(devices, deviceId, () => ask<Device>(`/esp/devices/${encodeURIComponent(deviceId)}`));
}

export async function readActuator(espId: string, gpio: number): Promise<void> {
  await change(actuators, actuatorKey(espId, gpio), () => ask<Actuator>(`/actuators/${encodeURIComponent(espId)}/${gpio}`));
}

async function change<Row>(rows: Signal<ReadonlyMap<string, Row> | null>, key: string, read: () => Promise<Row>): Promise<void> {
  let row: Row | null;
  try {
    row = await read();
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
    row = null;
  }
  const after = new Map(rows.peek() ?? []);
  if (row === null) after.delete(key);
  else after.set(key, row);
  rows.value = after;
}

/** A reading that the live socket told. False: of a sensor that is not known yet. */
export function takeReading(event: LiveEvent): boolean {
  const data = event.data;
  const gpio = Number(data.gpio);
  const sensorType = event.topic.split("/").pop() ?? "";
  const known = sensors.peek()?.get(
    sensorKey({ esp_id: event.esp_id ?? "", gpio, sensor_type: sensorType, address: String(data.address ?? "") }),
  );
  if (!known) return false;
  const latest: Reading = {
    timestamp: event.at,
    raw: data.raw as number | null,
    value: data.value as number | null,
    unit: String(data.unit ?? ""),
    quality: String(data.quality ?? ""),
  };
  known.value = { ...known.peek(), latest };
  return true;
}
