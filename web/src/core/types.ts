/** What the API answers, as far as the page reads it. */

export type Role = "viewer" | "operator" | "admin";

export interface Version {
  version: string;
  kaiser_id: string;
  page: string;
  setup: "closed" | "open" | "token";
}

export interface Device {
  device_id: string;
  name: string;
  status: "pending_approval" | "approved" | "rejected";
  online: boolean;
  zone_id: string;
  zone_name: string;
  board: string;
  last_seen: number | null;
  uptime_s: number | null;
  heap_free: number | null;
  wifi_rssi: number | null;
  ip: string;
  sensor_count: number;
  actuator_count: number;
  config_sync: string;
  config_error: string;
  placement_sync: string;
  placement_error: string;
  health: number;
  health_reasons: string[];
  registered_by: string;
  registered_at: number | null;
  decided_by: string;
}

export interface Reading {
  timestamp: number;
  raw: number | null;
  value: number | null;
  unit: string;
  quality: string;
}

export interface Sensor {
  esp_id: string;
  gpio: number;
  sensor_type: string;
  address: string;
  name?: string;
  computed?: boolean;
  latest: Reading | null;
}

export interface Outcome {
  correlation_id: string;
  state: string;
  message: string;
  at: number;
}

export interface Actuator {
  esp_id: string;
  gpio: number;
  actuator_type: string;
  name: string;
  max_runtime_s: number;
  min_value: number;
  max_value: number;
  desired_value: number;
  reported_value: number | null;
  reported_at: number | null;
  emergency: string;
  on_since: number | null;
  lease_until: number | null;
  owner: string;
  hold: { by: string; until: number | null } | null;
  pending_correlation_id: string;
  last_outcome: Outcome | null;
}

export interface Check {
  name: string;
  passed: boolean;
  reason: string;
  code: string;
}

export interface Verdict {
  allowed: boolean;
  energising: boolean;
  verb: string;
  value: number;
  lease_s: number;
  checks: Check[];
  code: string;
  message: string;
}

export interface Stop {
  scope: string;
  state: string;
  since: number;
  by: string;
  reason: string;
  confirmed: string[];
  unconfirmed: string[];
  clearing: string[];
  cannot_confirm: Record<string, string>;
}

export interface Safety {
  state: string;
  stops: Stop[];
  alarm: string;
  latched: boolean;
  automation_held: string[];
}

export interface Health {
  status: string;
  version: string;
  kaiser_id: string;
  uptime_s: number;
  broker: { connected: boolean; address: string; error: string };
  database: { ok: boolean; error: string };
  warnings: string[];
  actors: { not_up: number; paths: string[] };
  devices: { total: number; online: number; offline: number };
  safety: string;
  safety_latched: boolean;
  safety_alarm: string;
}

export interface Rule {
  id: number;
  name: string;
}

export interface Finding {
  path: string;
  truth: string;
  detail: string;
}

export interface Explanation {
  correlation_id: string;
  verb: string;
  value: number | null;
  duration_s: number;
  issuer: string;
  requested_at: number;
  state: string;
  message: string;
  ended_at: number | null;
  checks: Check[];
  rule_id: number | null;
  execution: { at: number; findings?: Finding[] } | null;
}

export interface Page<Row> {
  data: Row[];
  count: number;
  next?: string | null;
}
