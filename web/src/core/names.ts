/** What things are called: names that people gave, with what they did not give filled in. */

import { words } from "../words/words";
import { ruleNames } from "./plant";
import type { Actuator, Device, Sensor } from "./types";

export function deviceName(device: Device): string {
  return device.name || device.device_id;
}

export function actuatorName(actuator: Actuator): string {
  return actuator.name || `${actuatorType(actuator)} ${words.value.gpio(actuator.gpio)}`;
}

export function actuatorType(actuator: Actuator): string {
  return words.value.actuatorTypes[actuator.actuator_type] ?? actuator.actuator_type;
}

export function sensorType(kind: string): string {
  return words.value.sensorTypes[kind] ?? kind;
}

export function sensorName(sensor: Sensor): string {
  return sensor.name || sensorType(sensor.sensor_type);
}

/** `user:admin`, `rule:4` for people; of rules the name, where it is known. */
export function issuerName(issuer: string): string {
  const at = issuer.indexOf(":");
  if (at === -1) return issuer;
  const kind = issuer.slice(0, at);
  const name = issuer.slice(at + 1);
  if (kind === "rule") return words.value.ruleNamed(ruleNames.value.get(name) ?? name);
  const word = words.value.issuers[kind];
  if (kind === "system") return `${word} (${name})`;
  return word ? `${word} ${name}` : name;
}

export function scopeName(scope: string): string {
  if (scope === "global") return words.value.scopeAll;
  const at = scope.indexOf(" ");
  const name = scope.slice(at + 1);
  return scope.startsWith("zone ") ? words.value.scopeZone(name) : words.value.scopeDevice(name);
}

export function levelName(value: number | null): string {
  if (value === null) return words.value.unknownState;
  if (value === 0) return words.value.off;
  return value === 1 ? words.value.on : new Intl.NumberFormat(document.documentElement.lang, { style: "percent" }).format(value);
}
